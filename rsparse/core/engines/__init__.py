"""What computes the method: ``engine.Engine`` says what an engine does, the rest does it.

``cpu/`` one image at a time, its inner loops compiled by numba or in NumPy; ``torch/`` batches of
images by torch's own operations, ``triton/`` the same with kernels where torch is slow on a GPU.
"""
