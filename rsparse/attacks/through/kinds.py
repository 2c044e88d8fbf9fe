"""The backwards of each kind of defense.

Bits of fewer levels have only the identity, which passes the gradient of any rounding (Athalye,
Carlini, Wagner 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rsparse.attacks.through.backwards import Floats, Pixels, Trace, Traced
from rsparse.defenses import ComDefend, Defense, RegionSparse, Resources
from rsparse.defenses.compression import Jpeg, LocalQuantization
from rsparse.defenses.smoothing import Bilateral, Gaussian, Median, NonLocalMeans
from rsparse.defenses.variation import MaskedTotalVariation, TotalVariation

SHARE = 4
"""U: how many times the atoms of its code a patch holds in ``atoms``."""


def _coder(share: int) -> Trace:
    """RegionSparse with U·K atoms of each patch held, or with those of its code (0)."""

    def run(defense: RegionSparse, image: Pixels, resources: Resources) -> Traced:
        from rsparse.core.backward.regionsparse import purify_recorded

        defense.check(resources)
        dictionary = resources.dictionaries[defense.dictionary]
        done = purify_recorded(image, dictionary, defense, defense, share)
        return Traced(done.pixels, done.vjp)

    return run


def _from_image(vjp: Callable[[Any, Pixels, Resources, Floats], Floats]) -> Trace:
    """A backward that needs nothing of the forward pass but the image and the clean one."""

    def run(defense: Defense, image: Pixels, resources: Resources) -> Traced:
        cleaned = defense.clean(image, resources)
        return Traced(cleaned, lambda upper: vjp(defense, image, resources, upper))

    return run


def _jpeg(defense: Jpeg, image: Pixels, _: Resources, upper: Floats) -> Floats:
    from rsparse.core.backward.jpeg import jpeg_vjp

    return jpeg_vjp(image, upper, defense.quality)


def _slq(defense: LocalQuantization, image: Pixels, resources: Resources, upper: Floats) -> Floats:
    """Each block has the gradient of the quality that was drawn for it."""
    from rsparse.core.backward.jpeg import jpeg_vjp
    from rsparse.core.compression import drawn_versions

    shape, qualities = (image.shape[0], image.shape[1]), defense.QUALITIES
    drawn = drawn_versions(shape, len(qualities), defense.block, resources.random(image))
    parts = [
        jpeg_vjp(image, upper * (drawn == number)[:, :, None], quality)
        for number, quality in enumerate(qualities)
    ]
    return np.sum(parts, axis=0, dtype=np.float32)


def _median(defense: Median, _: Pixels, __: Resources, upper: Floats) -> Floats:
    from rsparse.core.backward.filters import mean_vjp

    return mean_vjp(upper, defense.size)


def _gaussian(defense: Gaussian, _: Pixels, __: Resources, upper: Floats) -> Floats:
    from rsparse.core.backward.filters import gaussian_vjp

    return gaussian_vjp(upper, defense.sigma)


def _bilateral(defense: Bilateral, image: Pixels, _: Resources, upper: Floats) -> Floats:
    from rsparse.core.backward.bilateral import bilateral_vjp

    sigmas = defense.sigma_color, defense.sigma_space
    return bilateral_vjp(image, upper, defense.diameter, *sigmas)


def _nlm(defense: NonLocalMeans, image: Pixels, _: Resources, upper: Floats) -> Floats:
    from rsparse.core.backward.non_local import non_local_vjp

    compared = defense.h, defense.template, defense.search, defense.weights
    return non_local_vjp(image, upper, *compared)


def _tv(defense: TotalVariation, image: Pixels, resources: Resources) -> Traced:
    from rsparse.core.backward.variation import variation_vjp

    cleaned = defense.clean(image, resources)
    return Traced(cleaned, lambda upper: variation_vjp(cleaned, upper, defense.weight))


def _tvm(defense: MaskedTotalVariation, image: Pixels, resources: Resources) -> Traced:
    from rsparse.core.backward.variation import variation_vjp

    cleaned = defense.clean(image, resources)
    kept = resources.random(image).random(image.shape) < defense.keep
    return Traced(cleaned, lambda upper: variation_vjp(cleaned, upper, defense.weight, kept))


def _comdefend(defense: ComDefend, image: Pixels, resources: Resources, upper: Floats) -> Floats:
    from rsparse.data import comdefend_model
    from rsparse.models.torch.binary_code import load_binary_code

    height, width = image.shape[:2]
    noise = defense.drawn(image, resources).rows(0, height, width) if defense.noise else None
    return load_binary_code(comdefend_model()).vjp(image, upper, noise)


BACKWARDS: dict[type[Defense], Mapping[str, Trace]] = {
    RegionSparse: {"atoms": _coder(SHARE), "supports": _coder(0)},
    Jpeg: {"smooth": _from_image(_jpeg)},
    LocalQuantization: {"smooth": _from_image(_slq)},
    Median: {"smooth": _from_image(_median)},
    Gaussian: {"smooth": _from_image(_gaussian)},
    Bilateral: {"smooth": _from_image(_bilateral)},
    NonLocalMeans: {"smooth": _from_image(_nlm)},
    TotalVariation: {"smooth": _tv},
    MaskedTotalVariation: {"smooth": _tvm},
    ComDefend: {"smooth": _from_image(_comdefend)},
}
"""The backwards of each kind of defense by name, the strongest first, without ``identity``."""
