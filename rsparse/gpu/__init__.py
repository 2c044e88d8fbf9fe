"""Purifying by torch, a batch of images of one size at a time: made for GPUs.

It does what ``core`` does (``regionsparse`` → ``coding`` → ``pursuit``, ``filters``) and chooses
the same atoms, but for the rare signal whose two best atoms are equally good up to rounding. The
object region (OpenCV's contours) is found on the CPU and sent along with the images; nothing else
passes between the machines until the cleaned images come back.

What it costs, in float32, for each patch of m numbers at sparsity K with k atoms
(``benchmarks/gpu.py`` counts it for a case, beside what the device at hand can do):

- The correlations with all atoms are a matrix product of 2 m k operations: 98,304 for 8×8×3
  patches and 256 atoms, 8.4 TFLOP for the 85 million patches of 1,000 images of 299×299 at
  stride 1. That is 0.15 s on a GPU that does 55 TFLOP/s in float32. TF32 would be faster and is
  kept off: its 10 bits of mantissa choose other atoms.
- Memory traffic. The residual's k correlations, 4 k bytes, are read twice to find the largest and
  the smallest; after each but the last atom their change is written, read, and taken off (read
  and written): 6 K − 4 passes of 4 k bytes, 27 KB a patch at K = 5. Making patches and
  correlations, and putting patches back, takes another 25.5 m + 4 k bytes, 6 KB. For 1,000 images
  that is 2.8 TB at K = 5, and 1.2 TB at K = 2.

- The bilateral filter moves 120 bytes a pixel and neighbour, 0.5 GB for an image of 299×299 and
  the default diameter of 9: the larger part where little is coded.

So memory traffic is the limit, not arithmetic: at 3.3 TB/s (an H100) no more than about 1,000
images a second can pass at stride 1 and K = 5 if every operation runs at full speed, and fewer
will; these figures are counted, not measured. At K = 2 it is a bit less than half the traffic, at
stride 2 a quarter of it, and where only the object region is coded, less in proportion. The next
step would be one fused kernel for a step of the pursuit, which holds a signal's correlations in
registers and touches memory once: to be written where it can be tested.
"""
