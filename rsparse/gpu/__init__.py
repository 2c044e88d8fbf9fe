"""Purifying by torch, a batch of images of one size at a time: made for GPUs.

It does what ``core`` does (``regionsparse`` → ``coding`` → ``pursuit``, ``filters``) and chooses
the same atoms, but for the rare signal whose two best atoms are equally good up to rounding. The
object region (OpenCV's contours) is found on the CPU and sent along with the images; nothing else
passes between the machines until the cleaned images come back.

What it costs, for each patch of n_features m at sparsity K with k atoms, in float32 (``costs``):

- The correlations with all atoms are a matrix product of 2 m k operations: 98,304 for 8×8×3
  patches and 256 atoms, 8.4 TFLOP for the 85 million patches of 1,000 images of 299×299 at
  stride 1. That is 0.15 s on a GPU that does 55 TFLOP/s in float32. TF32 would be faster and is
  kept off: its 10 bits of mantissa choose other atoms.
- Memory. The residual's k correlations, 4 k bytes, are read twice to find the largest and the
  smallest, and after each but the last atom the change is written, read, and taken off (read and
  written): 6 K − 4 passes over 4 k bytes, 27 KB a patch at K = 5. Taking patches out and putting
  them back costs some 16 m bytes more, 3 KB. At K = 5 this is 2.6 TB for 1,000 images.

So memory traffic, not arithmetic, is the limit: on a GPU of 3.3 TB/s about 1,000 images a second
could be coded if every pass went at full speed, and fewer will be. At K = 2 it is a third of that
traffic, and where only an object region is coded, less in proportion. The next step would be
one fused kernel for a step of the pursuit, which holds a signal's k correlations in registers
and touches memory once: a kernel (Triton, CUDA) to be written where it can be tested.
"""
