"""CT physics: scan geometry, projection, filtered back-projection, photon noise and low-dose simulation."""
