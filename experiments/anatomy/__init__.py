"""Training and accuracy of the anatomy network."""
