"""The first trained denoisers and the classical filters."""
