"""Decode patches and sum them band by band (see ``overlap``)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rsparse.core.engines.torch.grids import Grid
from rsparse.core.engines.torch.overlap import bands_of
from rsparse.core.engines.torch.pursuit import weighted_rows


class Tables(NamedTuple):
    """The tables to decode patches of l layers; their m numbers are by column, row, channel.

    ``atoms`` (k, m); ``deviation`` and ``offset`` (l, m): a patch is offset + deviation ·
    Σ weight · atom.
    """

    atoms: Tensor
    deviation: Tensor
    offset: Tensor


def coded_bands(
    tables: Tables, rows: Tensor, weights: Tensor, where: Grid, patch_size: int, width: int
) -> Tensor:
    """Decode patches and sum each row of patches.

    Parameters
    ----------
    tables : Tables
    rows : int32 tensor of shape (l, ny · nx, K + 1)
        The atoms of each patch in some rows of the grid; the last one is the offset.
    weights : float32 tensor like ``rows``
        The last one is 1 for coded patches and 0 for the others.
    where : Grid
    patch_size, width : int

    Returns
    -------
    float32 tensor of shape (l, ny, width, b·c)
    """
    (n, _, places), n_columns = rows.shape, len(where.columns)
    k, m = tables.atoms.shape
    table = torch.cat(
        [tables.atoms * tables.deviation[:, None], tables.offset[:, None]], dim=1
    ).view(-1, m)
    base = (k + 1) * torch.arange(n, dtype=rows.dtype, device=rows.device)[:, None, None]
    patches = weighted_rows(table, (rows + base).view(-1, places), weights.reshape(-1, places))
    shape = (n, -1, n_columns, patch_size, m // patch_size)
    return bands_of(patches.view(shape), where, width)
