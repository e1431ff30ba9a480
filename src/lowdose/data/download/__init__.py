"""Download of public CT collections."""
