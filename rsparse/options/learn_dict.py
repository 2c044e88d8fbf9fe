"""Parameters of ``rsparse learn-dict``."""

from __future__ import annotations

import dataclasses
from typing import Any

from rsparse.errors import InputError
from rsparse.options.device import seed_parameter
from rsparse.options.fields import Parameters, parameter
from rsparse.options.specs import hint_of

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "paper": {
        "color": False,
        "smoothing_weights": "printed",
        "smoothing_h": 4900.0,  # 7·7·10²: the default's strength for grey patches
        "smoothing_window": None,
        "coder": "lars",
        "l1_penalty": 1.2,  # 1.2/√m for patches of norm 1 (Mairal et al. 2009), standardised
        "replace_atoms": False,
    },
}
"""Values that differ from the defaults, by the name of the preset.

``paper`` is Section IV-B to the letter: grey patches of b×b numbers, the weights of eq. (16) over
the whole image, and online learning with the l1 penalty of eq. (20) alone. The text names no b, k,
n, h or β.
"""


@dataclasses.dataclass(frozen=True)
class LearnParameters(Parameters):
    """Dictionary learning (the paper's Section IV-B)."""

    patch_size: int = parameter(8, "Side b of a square patch, in pixels.", minimum=2, maximum=64)
    color: bool = parameter(
        True,
        "Learn from colour patches (b·b·3 numbers) or from grey ones (b·b).",
        flag="--color/--grey",
    )
    n_atoms: int = parameter(256, "Number of atoms k in the dictionary.", minimum=2, maximum=65536)
    patches_per_image: int = parameter(
        300, "Number n of random patches from each image.", minimum=1, maximum=1_000_000
    )
    smoothing: bool = parameter(True, "Smooth each image by non-local means before taking patches.")
    smoothing_h: float = parameter(
        10.0,
        "Strength h of the smoothing (eq. 16), in grey levels; with printed weights in squared "
        "grey levels, where the default is 100 times the number of values in a compared patch.",
        above=0,
        maximum=1e9,
        rare=True,
    )
    smoothing_weights: str = parameter(
        "squared",
        "Weights of the smoothing: squared is exp(−d²/h²) with the mean square d² of the patches' "
        "differences; printed is exp(−‖I(i) − I(j)‖²/h), as eq. (16) is printed; opencv is "
        "OpenCV's non-local means, which smooths lightness and colour apart, on all pixels.",
        choices=("squared", "printed", "opencv"),
        rare=True,
    )
    smoothing_patch: int = parameter(
        7,
        "Side of the patches that the smoothing compares, in pixels.",
        minimum=1,
        maximum=31,
        odd=True,
        rare=True,
    )
    smoothing_window: int | None = parameter(
        21,
        "Side of the window that the smoothing searches, in pixels, or whole for the whole image, "
        "which is some 200 times slower.",
        minimum=1,
        maximum=65535,
        odd=True,
        none="whole",
        rare=True,
    )
    normalize: bool = parameter(
        True, "Standardise each dimension over the patches of one image (eq. 17).", rare=True
    )
    learned: bool = parameter(
        True,
        "Learn the atoms, or use overcomplete cosines (DCT) without learning.",
        flag="--learned/--cosines",
        rare=True,
    )
    coder: str = parameter(
        "omp",
        "Coder of the patches while learning: omp, as in purifying; lars or cd of scikit-learn, "
        "with the l1 penalty of eq. (20), many times slower.",
        choices=("omp", "lars", "cd"),
        rare=True,
    )
    atoms_per_patch: int = parameter(
        5, "Atoms K per patch while learning with omp.", minimum=1, maximum=64, rare=True
    )
    l1_penalty: float = parameter(
        6.0,
        "Weight β of the l1 norm while learning with lars or cd.",
        above=0,
        maximum=1e6,
        rare=True,
    )
    batch_size: int = parameter(
        512, "Patches in one learning step.", minimum=1, maximum=1_000_000, rare=True
    )
    passes: int = parameter(
        1, "Number of passes over all images.", minimum=1, maximum=1000, rare=True
    )
    replace_atoms: bool = parameter(
        True,
        "Replace unused and near-duplicate atoms by poorly represented patches, which the paper "
        "does not.",
        flag="--replace-atoms/--keep-atoms",
        rare=True,
    )
    max_coherence: float = parameter(
        0.98,
        "An atom is a near-duplicate if its inner product with another atom exceeds this.",
        above=0,
        maximum=1,
        rare=True,
    )
    held_out_share: float = parameter(
        0.1,
        "Share of each image's patches that is held out to measure the error.",
        minimum=0,
        maximum=0.9,
        rare=True,
    )
    seed: int = seed_parameter("Seed of all random choices.")

    @classmethod
    def preset(cls, name: str, **given: Any) -> LearnParameters:
        """The parameters of a preset; values that are given replace the preset's.

        Raises
        ------
        InputError
            If there is no such preset, or a value is out of range.
        """
        if name not in PRESETS:
            raise InputError(f"unknown preset {name!r}; {hint_of(name, PRESETS)}")
        values = {**PRESETS[name], **given}
        weights = values.get("smoothing_weights", cls.smoothing_weights)
        if "smoothing_h" not in given and weights != PRESETS[name].get(
            "smoothing_weights", cls.smoothing_weights
        ):
            values["smoothing_h"] = _usual_h(cls(**values))
        return cls(**values)


def _usual_h(parameters: LearnParameters) -> float:
    """The default's strength in the unit of the weights."""
    usual = LearnParameters.smoothing_h
    if parameters.smoothing_weights != "printed":
        return usual
    values = parameters.smoothing_patch**2 * (3 if parameters.color else 1)
    return usual**2 * values
