"""The paper's experiments as plans of ``evaluate``, by the paper's settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rsparse.defenses import Defense, defense_text, parse_defense, parse_defenses
from rsparse.defenses.policy import load_policy
from rsparse.defenses.regionsparse import RegionSparse
from rsparse.evaluation.model_choice import ModelChoice
from rsparse.evaluation.plan import Plan, parse_attacks
from rsparse.evaluation.scenarios import (
    AdversarialTraining,
    BlackBox,
    ExtendedGrayBox,
    GrayBox,
    Scenario,
    Transfer,
)
from rsparse.options.evaluate import EvaluateParameters
from rsparse.options.labels import LabelOptions
from rsparse.options.learn_dict import LearnParameters
from studies.plans import ALL_STRENGTHS, CW, TABLE_TWO_STRENGTHS, dictionary, model
from studies.recipes import FGSM_ADVERSARIAL, Retraining, behind_each
from studies.trainings import path_of

FORM = "policy:paper"
KINDS = ("fgsm", "bim", "mi-fgsm", "cw-l2")  # of attacks
OTHERS = ("tvm", "feature-squeezing", "jpeg:quality=75", "comdefend")
TRANSFERRED = ("fgsm:eps=22", "bim:eps=22", "mi-fgsm:d=0.1", CW.format("0.1"))
LEARNING = LearnParameters.preset("paper")
LEARNED_FROM = 64  # photographs of train/; a dictionary needs few, and smoothing them takes long
DICTIONARIES: Mapping[str, LearnParameters] = {  # by the paper's names for what is left out
    "": LEARNING,
    "noTR": replace(LEARNING, learned=False),
    "noIS": replace(LEARNING, smoothing=False),
    "noPN": replace(LEARNING, normalize=False),
}


class Cast(NamedTuple):
    """The classifiers of the experiments, by their names in ``plans.MODELS`` or in ``fetch``.

    Attributes
    ----------
    judged : str
        The classifier of all figures.
    sources : tuple of str
        Those on which the transferred attacks of Fig. 8 are made.
    adversarial : str
        The adversarially trained one of Table II; "" if there is none.
    other : str
        The one to retrain for Fig. 6 and 7, if it is not the judged one.
    """

    judged: str
    sources: tuple[str, ...]
    adversarial: str = ""
    other: str = ""

    @property
    def retrained(self) -> str:
        """The one to retrain."""
        return self.other or self.judged

    @property
    def of_trained(self) -> Cast:
        """The one to retrain, judged alone."""
        return Cast(self.retrained, ())

    @property
    def all(self) -> tuple[str, ...]:
        """Every classifier."""
        return tuple(filter(None, (self.judged, *self.sources, self.adversarial)))


OF_PAPER = Cast(
    "inception_v3.tf_in1k",
    ("inception_v4.tf_in1k", "inception_resnet_v2.tf_in1k"),
    "inception_v3.tf_adv_in1k",
)
OF_SHARED = Cast("inception-v3", ("mobilenet-v1", "mobilenet-v2"), other="mobilenet-v2")


class Places(NamedTuple):
    """Where a run reads and writes.

    Attributes
    ----------
    shared : Path
        Photographs and classifiers: ``photos/``, ``train/``, ``models/``.
    work : Path
    limit : int or None
        The number of photographs to judge; all by default.
    without : tuple of str
        Kinds of defenses to leave out.
    jobs : int
    device : str
    attacks : tuple of str
        Some of ``KINDS`` to make; all by default.
    """

    shared: Path
    work: Path
    limit: int | None = None
    without: tuple[str, ...] = ()
    jobs: int = 2
    device: str = "auto"
    attacks: tuple[str, ...] = ()


def form() -> RegionSparse:
    """The paper's form: the only defense of ``policy:paper``."""
    defense = load_policy("paper").defense.rules[-1].defense
    assert isinstance(defense, RegionSparse)
    return defense


def ablations() -> Mapping[str, Defense]:
    """Fig. 4: the paper's form without each of its steps, by the paper's names."""
    whole = form()
    return {
        "RegionSparse": parse_defense(FORM)[0],
        **{name: replace(whole, dictionary=name) for name in DICTIONARIES if name},
        "noBS": replace(whole, filter_background=False),
    }


def gray_box(cast: Cast, places: Places) -> Plan:
    """Fig. 4 and 5: all strengths, each step left out, and the other defenses."""
    defenses = [*ablations().values(), *parse_defenses(list(OTHERS))]
    return _plan("gray-box", cast, places, ALL_STRENGTHS, defenses)


def transferred(cast: Cast, places: Places) -> Plan:
    """Fig. 8: attacks made on other classifiers."""
    defenses = parse_defenses([FORM, *OTHERS])
    scenarios = [_on(Transfer, places, name) for name in cast.sources]
    return _plan("transfer", cast, places, TRANSFERRED, defenses, scenarios)


def table_two(cast: Cast, places: Places) -> Plan:
    """Table II: the paper's form, adversarial training, and both."""
    scenarios: list[Scenario] = [GrayBox()]
    if cast.adversarial:
        scenarios.append(_on(AdversarialTraining, places, cast.adversarial))
    return _table_two("table-two", cast, places, scenarios)


def table_two_trained(cast: Cast, places: Places) -> Plan:
    """Table II of the classifier that is retrained, with an adversarial training of our own."""
    trained = _on_trained(AdversarialTraining, cast, places, FGSM_ADVERSARIAL)
    return _table_two("table-two-trained", cast.of_trained, places, [GrayBox(), trained])


PLANS = {"gray-box": gray_box, "transfer": transferred, "table-two": table_two}
"""The plans of one evaluation each, by the name of their part."""


def retrained(cast: Cast, places: Places, retraining: Retraining) -> Mapping[str, Plan]:
    """Fig. 6 and 7: for each defense, the classifier retrained on what it purified."""
    plans = {}
    for name, training in behind_each(cast.retrained, retraining).items():
        kinds = (BlackBox, ExtendedGrayBox)
        trained = [_on_trained(kind, cast, places, name_of(name)) for kind in kinds]
        scenarios, part = [GrayBox(), *trained], f"retrained-{name_of(name)}"
        defenses = parse_defenses(list(training.purified))
        plans[name] = _plan(part, cast.of_trained, places, ALL_STRENGTHS, defenses, scenarios)
    return plans


def name_of(defense: str) -> str:
    """The name of the classifier that was retrained behind a defense of ``OF_EACH``."""
    return f"behind-{defense}"


def _on(kind: type, places: Places, name: str) -> Scenario:
    """A scenario with a second classifier."""
    other = model(places.shared, name)
    return _scenario(kind, other.path, other)


def _on_trained(kind: type, cast: Cast, places: Places, name: str) -> Scenario:
    """A scenario with a classifier of that name that this study trained."""
    path = path_of(places.work, cast.retrained, name)
    return _scenario(kind, path, model(places.shared, cast.retrained))


def _scenario(kind: type, path: Path, original: ModelChoice) -> Scenario:
    """A scenario with a second classifier, whose input is that of ``original``."""
    options = original.input_options
    scenario: Scenario = kind(str(path), **({"preset": options.preset} if options else {}))
    return scenario


def _table_two(part: str, cast: Cast, places: Places, scenarios: Sequence[Scenario]) -> Plan:
    return _plan(part, cast, places, TABLE_TWO_STRENGTHS, parse_defenses([FORM]), scenarios)


def _plan(
    part: str,
    cast: Cast,
    places: Places,
    attacks: tuple[str, ...],
    defenses: Sequence[Defense],
    scenarios: Sequence[Scenario] = (GrayBox(),),
) -> Plan:
    photos = places.shared / "photos"
    kept = tuple(d for d in defenses if d.kind not in places.without)
    names = sorted({name for defense in kept for name in defense.dictionaries})
    return Plan(
        images=(photos,),
        labels=LabelOptions(photos / "labels.csv"),
        model=model(places.shared, cast.judged),
        attacks=tuple(
            attack
            for attack in parse_attacks(attacks)
            if not places.attacks or attack.name in places.attacks
        ),
        defenses=kept,
        output=places.work / part,
        scenarios=tuple(scenarios),
        dictionaries={name: learned(places, name) for name in names},
        parameters=EvaluateParameters(
            max_images=places.limit, extra_checks=False, device=places.device
        ),
    )


def learned(places: Places, name: str = "") -> Path:
    """The dictionary of that name; if it is missing, learn it from some photographs."""
    return dictionary(places.shared, places.work, name, places.jobs, DICTIONARIES, LEARNED_FROM)


def texts() -> Mapping[str, str]:
    """The short name of each defense of Fig. 4 in an evaluation, by the paper's name."""
    return {name: defense_text(defense) for name, defense in ablations().items()}
