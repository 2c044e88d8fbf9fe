"""The inner loops of the method: compiled by numba, in NumPy, in torch, in Triton."""
