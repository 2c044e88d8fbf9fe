"""Carry gradients back through the method: vector-Jacobian products with decisions held.

The chosen atoms, the object region and the rounding are held or passed over; everything else is
differentiated exactly: the z-score with its statistics, the overlap average, θ, and the bilateral
filter with its weights. Arrays in, arrays out, on the CPU; ``loops`` selects numba or NumPy. A
torch version of the three loops, for batches on a GPU, would take the place of ``loops``.
"""
