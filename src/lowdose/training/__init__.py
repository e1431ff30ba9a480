"""Training of denoisers, of the anatomy network and of LEDA's autoencoder: data, loop, checkpoints and logs."""
