"""The engine in torch, which takes images of one size together: made for GPUs.

It chooses the same atoms as the CPU's, but for the rare signal whose two best atoms are equally
good up to rounding. The object region (OpenCV's contours) is found on the CPU and sent along with
the images; nothing else passes between the machines until the cleaned images come back.

``steps`` names what takes the time. There the engine of ``triton/`` puts kernels of our own, since
what one of torch's operations makes goes through memory time and again.

What it costs, in float32, for each patch of m numbers at sparsity K with k atoms
(``benchmarks/gpu.py`` counts it for a case, beside what the device at hand can do and does;
docs/measurements.md has it of an H200):

- The correlations with all atoms are a matrix product of 2 m k operations: 98,304 for 8×8×3
  patches and 256 atoms, 8.4 TFLOP for the 85 million patches of 1,000 images of 299×299 at
  stride 1. That is most of the least time. TF32 would be faster and is kept off: its 10 bits of
  mantissa choose other atoms.
- Memory traffic. Making patches and correlations takes 4 (2 m + k) bytes. The fused pursuit reads
  the correlations once, 4 k bytes; without it they pass 6 K − 4 times, 27 KB a patch at K = 5. The
  fused bands read the code, 8 (K + 1) bytes, and write 4 b c numbers a pixel and row of patches;
  without them each patch is written and read.
- The bilateral filter reads its disc of neighbours from a cache; without the kernel it moves 120
  bytes a pixel and neighbour.
"""
