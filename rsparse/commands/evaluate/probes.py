"""The attacks that only the checks of an evaluation need."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rsparse.attacks import Attack, Bim, Noise, Square
from rsparse.commands.evaluate.columns import PlannedColumn
from rsparse.evaluation.checks import HUGE_EPS
from rsparse.evaluation.plan import Plan, Threat, strength_of

MANY_STEPS = 30
STEP_SHARE = 0.1  # the step of ``MANY_STEPS``, as a share of eps
QUERIES = 60
_STEP_SIZES = ("step_size", "abs_stepsize")
_MOST_STEP_SIZE = 255


@dataclass(frozen=True)
class Probes:
    """The extra columns of a threat that do not depend on results.

    Attributes
    ----------
    huge_eps : tuple of PlannedColumn
        The plan's iterative attacks, or BIM, with a huge eps.
    noise : tuple of PlannedColumn
        Random noise of the largest strengths.
    long : PlannedColumn or None
        Many steps of BIM with the largest eps, for attacks on the judged model; judged without a
        defense.
    search : tuple of PlannedColumn
        A search without gradients with the largest eps, for attacks on the judged model: through
        each defense if the scenario's attacks are, or else judged without a defense.
    """

    huge_eps: tuple[PlannedColumn, ...] = ()
    noise: tuple[PlannedColumn, ...] = ()
    long: PlannedColumn | None = None
    search: tuple[PlannedColumn, ...] = ()

    @property
    def columns(self) -> list[PlannedColumn]:
        """All of them."""
        long = [] if self.long is None else [self.long]
        return [*self.huge_eps, *self.noise, *long, *self.search]


def probes_of(plan: Plan, threat: Threat) -> Probes:
    """The extra columns for the checks of a threat.

    If the scenario attacks through the defenses, so do the attacks with a huge eps and the search
    without gradients; noise does not need to know a defense.
    """
    if not (plan.parameters.extra_checks and threat.attacks):
        return Probes()
    largest = _largest(threat.attacks)
    noises = [Noise(**{name: value}) for name, value in sorted(largest.items())]
    noise = tuple(PlannedColumn.by(threat, attack) for attack in noises)
    through = threat.scenario.through
    huge = list(dict.fromkeys(_with_huge_eps(threat.attacks)))
    uses_gradients = any(attack.needs_gradients for attack in threat.attacks)
    if not huge and uses_gradients:
        huge = [Bim(eps=HUGE_EPS)]
    defenses = plan.defenses if through else (None,)
    huge_eps = tuple(PlannedColumn.by(threat, attack, d) for attack in huge for d in defenses)
    eps = largest.get("eps")
    if not uses_gradients or not eps or threat.attacked != threat.judged:
        return Probes(huge_eps, noise)
    search = Square(eps=eps, queries=QUERIES)
    if through:
        searches = tuple(PlannedColumn.by(threat, search, defense) for defense in defenses)
        return Probes(huge_eps, noise, search=searches)
    long = Bim(eps=eps, steps=MANY_STEPS, step_size=STEP_SHARE * eps)
    return Probes(huge_eps, noise, _undefended(threat, long), (_undefended(threat, search),))


def _undefended(threat: Threat, attack: Attack) -> PlannedColumn:
    return PlannedColumn(threat.judged, threat, attack, is_undefended=True)


def _largest(attacks: Sequence[Attack]) -> dict[str, float]:
    """The largest eps and the largest d of the plan, if it has any."""
    largest: dict[str, float] = {}
    for attack in attacks:
        name, value = strength_of(attack)
        if name in ("eps", "d") and value is not None:
            largest[name] = max(value, largest.get(name, 0.0))
    return largest


def _with_huge_eps(attacks: Sequence[Attack]) -> Iterator[Attack]:
    """The untargeted iterative attacks in L∞ with a huge eps; their steps grow with it."""
    for attack in attacks:
        name, value = strength_of(attack)
        if name != "eps" or not value or attack.seeks_minimum or attack.aim is not None:
            continue
        if getattr(attack, "steps", 1) < 2:
            continue
        changes: dict[str, float] = {"eps": HUGE_EPS}
        for field in _STEP_SIZES:
            size = getattr(attack, field, None)
            if size is not None:
                changes[field] = min(size * HUGE_EPS / value, _MOST_STEP_SIZE)
        yield dataclasses.replace(attack, **changes)
