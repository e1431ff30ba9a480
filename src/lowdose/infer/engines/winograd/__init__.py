"""Convolutions of 3x3 and 5x5 with a quarter to an eighth of the multiplications, in C++ (``winograd.h``)."""
