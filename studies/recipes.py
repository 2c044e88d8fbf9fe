"""The recipes of the retrained classifiers in docs/results.md: training images and parameters.

``trainings.py`` trains them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from rsparse.defenses import parse_defense
from rsparse.options.learn_dict import LearnParameters
from rsparse.options.train import TrainParameters
from rsparse.store.files import sha256_of
from rsparse.store.journal import to_line
from studies.plans import COARSE, DICTIONARIES, WIDE


class Attacked(NamedTuple):
    """An attack on the original model, and the defense that purifies its images."""

    attack: str
    defense: str


class Training(NamedTuple):
    """How a classifier is retrained from the original one.

    Attributes
    ----------
    parameters : TrainParameters
    purified : tuple of str
        Defenses that purify the photographs.
    attacked : tuple of Attacked
    """

    parameters: TrainParameters
    purified: tuple[str, ...]
    attacked: tuple[Attacked, ...]


BEFORE = {"mobilenet-v2": WIDE, "inception-v3": COARSE}  # the defenses of the judged classifiers
SETTINGS = (WIDE, COARSE)  # in addition to the default policy
RETRAINED, ADVERSARIAL = "retrained", "adversarial"
FGSM_ADVERSARIAL = "fgsm-adversarial"  # which saw no purified images
SHOWN_PURIFIED = {  # strongly and mildly purified, by the classifier's policy
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
    "mi-fgsm-l2:d=0.17,steps=5", "cw-l2:d=0.17,steps=10",
)  # fmt: skip
_COMMON = TrainParameters(
    distill=True, clean_share=0.2, batch_size=16, epochs=16, patience=None, learning_rate=1e-4,
    min_crop=0.4,  # of 0.2, 0.4 and 0.7 it gave MobileNet-v2 the lowest validation loss
)  # fmt: skip
_FIRST: Mapping[str, TrainParameters] = {  # by original model; only about the first six of ten
    # layers are trained, since the later ones would overfit to the few photographs
    "mobilenet-v2": replace(
        _COMMON, train_layers="*V2.Conv.*,*V2.expanded_conv.*,*expanded_conv_?.*"
    ),
    "inception-v3": replace(
        _COMMON, train_layers="conv*,mixed/*,mixed_1/*,mixed_2/*,mixed_3/*,mixed_4/*,mixed_5/*",
        # it was refitted on these same photographs and soon forgets others
        clean_share=0.3, original_share=0.5,
    ),
}  # fmt: skip
_FIRST_OF_OTHERS = {"inception_v3.tf_in1k": "inception-v3"}  # networks with the same layers
_BOTH: Mapping[str, TrainParameters] = {
    base: replace(first, train_on="both", adversarial_share=0.25) for base, first in _FIRST.items()
}


def _behind(defense: str, parameters: TrainParameters) -> Training:
    """A training on photographs and attacked photographs that the defense has purified."""
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


OF_EACH: Mapping[str, str] = {  # the defenses of Fig. 6 and 7, by the name of their classifier
    "regionsparse": "policy:paper",
    "jpeg": "jpeg:quality=75",
    "tvm": "tvm",
    "feature-squeezing": "feature-squeezing",
    "comdefend": "comdefend",
}


class Retraining(NamedTuple):
    """Which classifiers of Fig. 6 and 7 are retrained, and how long.

    Attributes
    ----------
    names : tuple of str
        Keys of ``OF_EACH``.
    epochs : int
    """

    names: tuple[str, ...] = tuple(OF_EACH)
    epochs: int = _COMMON.epochs


EVERY = Retraining()
FAST = Retraining(("regionsparse", "jpeg"), epochs=4)


def behind_each(base: str, retraining: Retraining = EVERY) -> Mapping[str, Training]:
    """A training on photographs behind each defense of Fig. 6 and 7, without attacked ones."""
    parameters = replace(_first(base), epochs=retraining.epochs)
    return {name: Training(parameters, (OF_EACH[name],), ()) for name in retraining.names}


def adversarial(base: str, retraining: Retraining = EVERY) -> Training:
    """The "FGSM Adversarial" of Table II: clean photographs, and ones that FGSM attacks."""
    parameters = replace(
        _first(base), epochs=retraining.epochs, train_on="adversarial", clean_share=0.5
    )
    return Training(parameters, (), ())


def _first(base: str) -> TrainParameters:
    parameters = _FIRST[_FIRST_OF_OTHERS.get(base, base)]
    if base in _FIRST_OF_OTHERS:  # with published weights, which were not fitted to train/
        parameters = replace(parameters, original_share=0.0)
    return parameters


def digest(training: Training, declared: Mapping[str, LearnParameters] = DICTIONARIES) -> str:
    """The digest of a recipe: parameters, versions of the images, their dictionaries."""
    shown = [*training.purified, *(each.defense for each in training.attacked)]
    names = {n for text in shown for n in parse_defense(text)[0].dictionaries}
    return sha256_of(to_line({
        **training._asdict(),
        "parameters": training.parameters.as_record(),
        "dictionaries": {n: declared[n].as_record() for n in names},
    }))  # fmt: skip
