"""Run one step of the method, or all of it, on any engine: NumPy arrays in, NumPy arrays out.

Triton's kernels run in its interpreter, in a separate process, because Triton chooses between
interpreter and compiler when it is imported.
"""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from rsparse.core.dictionary import Dictionary
from rsparse.core.engines import ENGINES, load_engine
from rsparse.core.engines.cpu.coding import Floats, Mask
from rsparse.core.regionsparse import Pixels, Region, purify_batch
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters

NEEDS = {"numpy": (), "numba": ("numba",), "torch": ("torch",), "triton": ("torch", "triton")}
EVERY_ENGINE = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            not all(map(find_spec, NEEDS[name])), reason=f"{name} is not installed"
        ),
    )
    for name in ENGINES
]
WHERE = LocalizeParameters(threshold=60, closing_size=5)
CASES = {
    "the region, filtered around": PurifyParameters(stride=3),
    "all of it": PurifyParameters(localize=False, stride=3, sparsity=5),
    "a hard cut": PurifyParameters(feather=0, stride=3),
    "a stride beyond a patch": PurifyParameters(stride=7, sparsity=4, bilateral_diameter=5),
    "few atoms for flat patches": PurifyParameters(min_correlation=1.5, sparsity=4, stride=5),
    "no filter": PurifyParameters(filter_background=False, feather=5, stride=4),
    "a share of the code": PurifyParameters(theta=0.4, stride=3),
    "a share of the code everywhere": PurifyParameters(theta=0.7, localize=False, stride=4),
    "nothing of the code": PurifyParameters(theta=0, stride=4),
    "filtered before": PurifyParameters(prefilter=True, localize=False, stride=4),
    "filtered before, not around": PurifyParameters(
        prefilter=True, filter_background=False, stride=4
    ),
}


class Stepwise:
    """An engine whose steps all take and return arrays."""

    def __init__(self, name: str) -> None:
        self.name = name

    def bilateral(self, images: Pixels, *arguments: Any) -> Pixels:
        return self._call(_bilateral, images, *arguments)

    def sparse_code(self, images: Pixels, *arguments: Any) -> tuple[Floats, Mask]:
        return self._call(_sparse_code, images, *arguments)

    def blend(
        self, coded: Floats, covered: Mask, theta: list[Floats], background: Pixels
    ) -> Pixels:
        return self._call(_blend, coded, covered, theta, background)

    def purify(self, images: list[Pixels], regions: list[Region], *arguments: Any) -> list[Pixels]:
        return self._call(_purify, images, regions, *arguments)

    def _call(self, step: Any, *arguments: Any) -> Any:
        if self.name == "triton":
            return _interpreter().submit(step, self.name, *arguments).result()
        return step(self.name, *arguments)


@cache
def _interpreter() -> ProcessPoolExecutor:
    """A process in which Triton's kernels run in the interpreter."""
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    os.environ["TRITON_INTERPRET"] = "1"
    try:
        pool.submit(os.getpid).result()  # it has started, with this environment
    finally:
        del os.environ["TRITON_INTERPRET"]
    return pool


def _bilateral(name: str, images: Pixels, *arguments: Any) -> Pixels:
    engine = load_engine(name)
    with engine.session():
        return engine.download(engine.bilateral(engine.upload(images), *arguments))


def _sparse_code(name: str, images: Pixels, *arguments: Any) -> tuple[Floats, Mask]:
    engine = load_engine(name)
    with engine.session():
        coded, covered = engine.sparse_code(engine.upload(images), *arguments)
        return np.asarray(coded), np.asarray(covered)


def _blend(name: str, coded: Floats, covered: Mask, theta: list[Floats], x_b: Pixels) -> Pixels:
    engine = load_engine(name)
    arrays: list[Any] = [coded.copy(), covered.copy()]
    if name in ("torch", "triton"):
        import torch

        arrays = [torch.from_numpy(array) for array in arrays]
    with engine.session():
        return engine.download(engine.blend(*arrays, theta, engine.upload(x_b)))


def _purify(name: str, *arguments: Any) -> list[Pixels]:
    return purify_batch(*arguments, load_engine(name))


def random_dictionary(b: int = 6, channels: int = 3, **how: bool) -> Dictionary:
    atoms = unit(np.random.default_rng(3).standard_normal((40, b * b * channels)))
    return Dictionary(atoms, b, color=channels == 3, **how)


def complete(b: int, **how: bool) -> Dictionary:
    """A complete orthonormal basis: all atoms together reconstruct any patch."""
    size = b * b * (3 if how.get("color", True) else 1)
    square = np.random.default_rng(0).standard_normal((size, size))
    return Dictionary(np.linalg.qr(square)[0].astype(np.float32), b, **how)


def unit(atoms: np.ndarray) -> np.ndarray:
    return (atoms / np.linalg.norm(atoms, axis=1, keepdims=True)).astype(np.float32)
