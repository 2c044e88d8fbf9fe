"""Kernels in Triton, each of which replaces many of torch's operations; for GPUs only.

Triton is a part of PyTorch's CUDA builds. Without it, ``engine_for`` returns the engine of
``torch/``. Tests run the kernels in Triton's interpreter.
"""
