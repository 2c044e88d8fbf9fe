"""Fit images to a network's input in torch, with the weights of ``models/resize.py``."""

from __future__ import annotations

import torch

from rsparse.models.fit import Axis, Fit
from rsparse.models.resize import resize_matrix, resize_weights

_LARGEST_MATRIX = 2**22
"""Numbers of a matrix up to which an axis is resized by a matrix product."""


def fitted(x: torch.Tensor, fit: Fit) -> torch.Tensor:
    """Fit images (n, c, h, w) as ``resize`` does, differentiably.

    Memory does not grow with the square of a side: long axes take a sum of few pixels for each
    new one, the axis that shrinks most first.
    """
    down, along = fit.axes(*x.shape[-2:])
    steps = [(-2, down), (-1, along)]
    if any(_is_long(axis) for _, axis in steps):
        steps.sort(key=lambda step: step[1].n_kept / step[1].n_from)
    for dim, axis in steps:
        if not axis.is_kept_whole:
            x = _sums(x, dim, axis) if _is_long(axis) else _product(x, dim, axis)
    return x


def _is_long(axis: Axis) -> bool:
    return axis.n_kept * axis.n_from > _LARGEST_MATRIX


def _product(x: torch.Tensor, dim: int, axis: Axis) -> torch.Tensor:
    matrix = torch.from_numpy(resize_matrix(axis).copy()).to(x)
    return matrix @ x if dim == -2 else x @ matrix.T


def _sums(x: torch.Tensor, dim: int, axis: Axis) -> torch.Tensor:
    weights = resize_weights(axis)
    places = torch.from_numpy(weights.places.copy()).to(x.device)
    shares = torch.from_numpy(weights.shares.copy()).to(x)
    picked = x.index_select(dim, places.flatten()).unflatten(dim, places.shape)
    if dim == -2:
        return torch.einsum("nckpw,kp->nckw", picked, shares)
    return torch.einsum("nchkp,kp->nchk", picked, shares)
