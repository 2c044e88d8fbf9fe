"""Kernels in Triton, each in the place of many of torch's operations: for GPUs only.

Triton comes with PyTorch's builds for CUDA; where it is missing, ``engine_for`` takes the engine
of ``torch/``. The interpreter of Triton runs the kernels for the tests.
"""
