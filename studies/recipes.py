"""How the retrained classifiers of docs/results.md are made: what each is shown, and how it learns.

``trainings.py`` makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from rsparse.defenses import parse_defense
from rsparse.options.train import TrainParameters
from rsparse.store.files import sha256_of
from rsparse.store.journal import to_line
from studies.plans import COARSE, DICTIONARIES, WIDE


class Attacked(NamedTuple):
    """An attack on the original model, and the defense that its images are shown behind."""

    attack: str
    defense: str


class Training(NamedTuple):
    """How a classifier is made from the original one.

    Attributes
    ----------
    parameters : TrainParameters
    purified : tuple of str
        Defenses that the photographs are shown behind.
    attacked : tuple of Attacked
    """

    parameters: TrainParameters
    purified: tuple[str, ...]
    attacked: tuple[Attacked, ...]


BEFORE = {"mobilenet-v2": WIDE, "inception-v3": COARSE}  # what stands before the classifiers judged
SETTINGS = (WIDE, COARSE)  # beside the default one
RETRAINED, ADVERSARIAL = "retrained", "adversarial"
SHOWN_PURIFIED = {  # strongly and mildly, by what stands before it
    COARSE: (
        "regionsparse:sparsity=1,localize=no,prefilter=yes",
        "regionsparse:sparsity=5,stride=8,localize=no,prefilter=yes",
    ),
    WIDE: (
        "regionsparse:dictionary=wide,sparsity=1,stride=3,localize=no,prefilter=yes",
        "regionsparse:dictionary=wide,sparsity=8,stride=6,localize=no,prefilter=yes",
    ),
}
SHOWN_ATTACKS = (
    "fgsm:eps=12", "fgsm:eps=22", "bim:eps=4,steps=5", "bim:eps=14,steps=5",
    "mi-fgsm:d=0.17,steps=5", "cw-l2:d=0.17,steps=10",
)  # fmt: skip
_COMMON = TrainParameters(
    distill=True, clean_share=0.2, batch_size=16, epochs=16, patience=None, learning_rate=1e-4,
    min_crop=0.4,  # of 0.2, 0.4 and 0.7 it gave MobileNet-v2 the lowest validation loss
)  # fmt: skip
_FIRST: Mapping[str, TrainParameters] = {  # by the model they begin with; only its first layers
    # learn, some six of ten: those behind would learn the few photographs by heart
    "mobilenet-v2": replace(
        _COMMON, train_layers="*V2.Conv.*,*V2.expanded_conv.*,*expanded_conv_?.*"
    ),
    "inception-v3": replace(
        _COMMON, train_layers="conv*,mixed/*,mixed_1/*,mixed_2/*,mixed_3/*,mixed_4/*,mixed_5/*",
        # its own refitting saw these very photographs, and what it says of others is soon forgotten
        clean_share=0.3, original_share=0.5,
    ),
}  # fmt: skip
_BOTH: Mapping[str, TrainParameters] = {
    base: replace(first, train_on="both", adversarial_share=0.25) for base, first in _FIRST.items()
}


def _behind(defense: str, parameters: TrainParameters) -> Training:
    """Shown what the defense makes of the photographs and of attacked ones."""
    attacked = tuple(Attacked(attack, defense) for attack in SHOWN_ATTACKS)
    return Training(parameters, SHOWN_PURIFIED[defense], attacked)


TRAININGS: Mapping[str, Mapping[str, Training]] = {
    "mobilenet-v2": {
        RETRAINED: _behind(COARSE, _FIRST["mobilenet-v2"]),
        ADVERSARIAL: _behind(WIDE, _BOTH["mobilenet-v2"]),
    },
    "inception-v3": {
        RETRAINED: _behind(COARSE, _FIRST["inception-v3"]),
        ADVERSARIAL: _behind(COARSE, _BOTH["inception-v3"]),
    },
}


def digest(training: Training) -> str:
    """Of all that a classifier is made by: parameters, versions shown, what those code with."""
    shown = [*training.purified, *(each.defense for each in training.attacked)]
    names = {n for text in shown for n in parse_defense(text)[0].dictionaries}
    return sha256_of(to_line({
        **training._asdict(),
        "parameters": training.parameters.as_record(),
        "dictionaries": {n: DICTIONARIES[n].as_record() for n in names},
    }))  # fmt: skip
