"""The engines on the CPU: one image at a time, and their inner loops in NumPy and by numba."""
