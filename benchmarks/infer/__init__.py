"""Memory of denoising one series."""
