"""Evaluation of models on paired series: image metrics, organ statistics, and the words read in each slice."""
