"""Training of the language-guided autoencoder of LEDA (Chen et al. 2024, section 2.1)."""
