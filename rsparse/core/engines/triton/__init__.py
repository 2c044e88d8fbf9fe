"""Kernels in Triton, each in the place of many of torch's operations: for GPUs only.

Triton comes with PyTorch's builds for CUDA; where it is missing, ``kernels.has_kernels`` says so
and torch's own operations do the work. The interpreter of Triton runs them for the tests.
"""
