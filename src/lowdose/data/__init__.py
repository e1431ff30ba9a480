"""Training and validation data: reading, packing, simulation, augmentation and splits."""
