"""Words for CT slices: vocabularies, relevance of words, LEDA's autoencoder files, explanations and drift."""
