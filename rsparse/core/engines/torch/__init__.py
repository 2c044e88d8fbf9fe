"""The engine in torch, which processes images of one size together and is made for GPUs.

It chooses the same atoms as the CPU's engines, except for rare signals whose two best atoms are
equally good up to rounding. The CPU locates the object (with OpenCV's contours) and sends the
region along with the images. Nothing else is transferred until the clean images return.

``steps`` lists the slow steps. The engine of ``triton/`` replaces them by its own kernels, since
each of torch's operations writes its result to memory.

The cost, in float32, for each patch of m numbers at sparsity K with k atoms
(``benchmarks/gpu.py`` computes it for one case and compares it with the device's limits and speed;
docs/measurements.md has the results for an H200):

- The correlations with all atoms are a matrix product of 2 m k operations: 98,304 for 8×8×3
  patches and 256 atoms, 8.4 TFLOP for the 85 million patches of 1,000 images of 299×299 at
  stride 1. They take most of the minimum time. TF32 would be faster, but its 10-bit mantissa
  leads to other atoms, so it is off.
- Memory traffic. Extracting patches and computing correlations takes 4 (2 m + k) bytes. The fused
  pursuit reads the correlations once, 4 k bytes; without it they pass through memory 6 K − 4 times,
  27 KB per patch at K = 5. The fused bands read the code, 8 (K + 1) bytes, and write 4 b c numbers
  per pixel and row of patches; without them each patch is written and read.
- The bilateral filter reads its disc of neighbours from a cache; without the kernel it moves 120
  bytes per pixel and neighbour.
"""
