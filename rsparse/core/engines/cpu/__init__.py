"""Engines for the CPU, one image at a time, with inner loops in NumPy or compiled by numba."""
