"""The noise that is usual, and the estimate of dose from it."""
