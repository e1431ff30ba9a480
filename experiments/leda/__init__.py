"""LEDA: its denoisers, its autoencoder, and what the autoencoder's words and drift score are worth."""
