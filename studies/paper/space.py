"""The settings of the method that ``search.py`` tries, declared in ``space.toml``."""

from __future__ import annotations

import dataclasses
import itertools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rsparse.defenses.regionsparse import RegionSparse
from rsparse.options.learn_dict import LearnParameters

SPACE = Path(__file__).with_name("space.toml")
REGIONS: Mapping[str, Mapping[str, Any]] = {
    "threshold": {},
    "otsu": {"otsu": True},
    "paper": {
        "gradient_difference": "horizontal",
        "blur_size": 1,
        "working_size": 0,
        "feather": 0.0,
    },  # as in policy:paper
    "whole": {"localize": False},
}
FILTERS: Mapping[str, Mapping[str, Any]] = {
    "around": {},
    "none": {"filter_background": False},
    "before": {"prefilter": True},
}


@dataclass(frozen=True)
class Setting:
    """A dictionary and a way to use it, by the names of the axes in ``space.toml``.

    Attributes
    ----------
    patch_size, n_atoms, color : int, int, bool
        The dictionary's b and k, and whether its patches have colour.
    smoothing_h : float
        h of eq. (16), in grey levels; 0 learns from photographs that are not smoothed.
    sparsity : int
        K.
    overlap : int
        How many patches cover a pixel along each side; the stride is about b / overlap.
    region, filter : str
        A key of ``REGIONS`` and of ``FILTERS``.
    sigma_color : float
        Standard deviation of the bilateral filter over colours, in grey levels.
    """

    patch_size: int
    n_atoms: int
    color: bool
    smoothing_h: float
    sparsity: int
    overlap: int
    region: str
    filter: str
    sigma_color: float

    def canonical(self) -> Setting:
        """The same setting with unused values at their defaults, so that equal ones are equal."""
        chosen = self
        if self.region == "whole" and self.filter == "around":  # nothing is around it
            chosen = dataclasses.replace(chosen, filter="none")
        if chosen.filter == "none":
            chosen = dataclasses.replace(chosen, sigma_color=RegionSparse.bilateral_sigma_color)
        return chosen

    @property
    def dictionary(self) -> str:
        """The name of its dictionary: ``b8-k256-grey-h10``."""
        kind = "color" if self.color else "grey"
        return f"b{self.patch_size}-k{self.n_atoms}-{kind}-h{self.smoothing_h:g}"

    @property
    def learning(self) -> LearnParameters:
        """How its dictionary is learned."""
        smoothed = {"smoothing_h": float(self.smoothing_h)} if self.smoothing_h else {}
        return LearnParameters(
            patch_size=self.patch_size,
            n_atoms=self.n_atoms,
            color=self.color,
            patches_per_image=600,
            smoothing=bool(self.smoothing_h),
            **smoothed,
        )

    @cached_property
    def defense(self) -> RegionSparse:
        """The method with this setting."""
        return RegionSparse(
            dictionary=self.dictionary,
            sparsity=self.sparsity,
            stride=max(1, round(self.patch_size / self.overlap)),
            bilateral_sigma_color=float(self.sigma_color),
            **REGIONS[self.region],
            **FILTERS[self.filter],
        )


@dataclass(frozen=True)
class Rung:
    """A step of the search: photographs, columns, and how many settings remain after it.

    Attributes
    ----------
    chunks : int
        The first chunks of photographs are judged.
    keep : int
    columns : tuple of str
        Without any, all of them.
    """

    chunks: int
    keep: int
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Space:
    """All settings of a search, and its steps.

    Attributes
    ----------
    n_settings : int
    seed : int
    axes : mapping of str to sequence
        The values of each field of ``Setting``.
    paper : Setting
        The paper's form, which is always among the settings.
    rungs : tuple of Rung
    """

    n_settings: int
    seed: int
    axes: Mapping[str, Sequence[Any]]
    paper: Setting
    rungs: tuple[Rung, ...] = field(default=())

    def settings(self) -> list[Setting]:
        """The settings to try, without repetition; the first is the paper's form."""
        combinations = itertools.product(*self.axes.values())
        named = (dict(zip(self.axes, values, strict=True)) for values in combinations)
        distinct = dict.fromkeys(Setting(**values).canonical() for values in named)
        distinct.pop(self.paper, None)
        others = list(distinct)
        order = np.random.default_rng(self.seed).permutation(len(others))
        return [self.paper, *(others[number] for number in order[: self.n_settings - 1])]


def load_space(path: Path = SPACE, fast: bool = False) -> Space:
    """Read the declaration of a search; ``fast`` takes its steps on fewer photographs."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    return Space(
        n_settings=content["settings"],
        seed=content["seed"],
        axes=_fields(content["axes"]),
        paper=Setting(**_fields(content["paper"])).canonical(),
        rungs=tuple(
            Rung(rung["chunks"], rung["keep"], tuple(rung["columns"]))
            for rung in content["fast" if fast else "rung"]
        ),
    )


def _fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values by field of ``Setting``, in its order."""
    known = {name.replace("-", "_"): value for name, value in values.items()}
    return {each.name: known[each.name] for each in dataclasses.fields(Setting)}
