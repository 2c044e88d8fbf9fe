"""The inner loops of coding and total variation: compiled by numba, or in NumPy without it.

Both sides hold the same functions with the same arguments and results; ``lockstep`` documents
them. Call them through this module, so that there is one place to choose.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from rsparse.core.engines import numpy_loops as lockstep

COMPILED = find_spec("numba") is not None  # numba follows a new Python or NumPy some weeks later

pursue: Callable[..., None] = lockstep.pursue
gather: Callable[..., None] = lockstep.gather
add_patches: Callable[..., None] = lockstep.add_patches
add_codes: Callable[..., None] = lockstep.add_codes
descend: Callable[..., None] = lockstep.descend
smooth: Callable[..., None] = lockstep.smooth
if COMPILED:
    from rsparse.core.engines import numba_loops as kernel
    from rsparse.core.engines import numba_variation as variation_kernel

    pursue = kernel.pursue
    gather = kernel.gather
    add_patches = kernel.add_patches
    add_codes = kernel.add_codes
    descend = kernel.descend
    smooth = variation_kernel.smooth
