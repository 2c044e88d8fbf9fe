"""List the slow steps of the method on a device, for which there may be kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from rsparse.core.engines.torch.decoding import Tables, coded_bands
from rsparse.core.engines.torch.filters import bilateral
from rsparse.core.engines.torch.grids import Grid
from rsparse.core.engines.torch.patches import take
from rsparse.core.engines.torch.pursuit import pursue


class Steps(NamedTuple):
    """One implementation of each step; torch's functions document them."""

    bilateral: Callable[[Tensor, int, float, float], Tensor]
    take: Callable[[Tensor, Tensor, Grid, int], Tensor]
    pursue: Callable[[Tensor, Tensor, int, float], tuple[Tensor, Tensor]]
    bands: Callable[[Tables, Tensor, Tensor, Grid, int, int], Tensor]


TORCH = Steps(bilateral, take, pursue, coded_bands)
