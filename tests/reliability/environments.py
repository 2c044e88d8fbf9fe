"""Hostile surroundings: small disks, low limits, closed streams, odd variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.reliability import verdicts
from tests.reliability.cases import Case, case_of
from tests.reliability.experiments import Prepared, Verdict
from tests.reliability.laboratory import Ended, Laboratory
from tests.reliability.trees import untimed, visible

KIB = 1024
WRITING = (
    "learn-dict", "localize", "purify", "attack", "classify -o p.csv", "classify -o p.h5",
    "activations --plot", "attention", "evaluate", "train", "report", "model tag",
)  # fmt: skip


@dataclass(frozen=True)
class Surroundings:
    """One hostile environment of a case.

    Attributes
    ----------
    case, name : str
    disk : int
        Bytes of the disk at ``work/``; 0 for the ordinary one.
    codes : frozenset of int
        Exit codes beside success: 3 where the machine fails, 2 where the user can mend it.
    """

    case: str
    name: str
    disk: int = 0
    limits: Mapping[str, int] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    closed: tuple[bool, bool, bool] = (False, False, False)
    stdout: str | None = None
    codes: frozenset[int] = frozenset({3})


def all_surroundings() -> list[Surroundings]:
    """Every environment of every command that is tried."""
    found = []
    for case in WRITING:
        found += [
            Surroundings(case, f"a disk of {n} KiB", disk=n * KIB) for n in (4, 8, 16, 40, 100)
        ]
        found += [
            Surroundings(case, f"files of at most {n} bytes", limits={"RLIMIT_FSIZE": n})
            for n in (1000, 5000, 20_000)
        ]
        found += [
            Surroundings(case, f"at most {n} open files", limits={"RLIMIT_NOFILE": n})
            for n in (12, 16, 24)
        ]
        found.append(Surroundings(case, "stdout is full", stdout="/dev/full"))
        found += [
            Surroundings(case, f"{name} is closed", closed=closed)
            for name, closed in (
                ("stdin", (True, False, False)), ("stdout", (False, True, False)),
                ("stderr", (False, False, True)), ("everything", (True, True, True)),
            )
        ]  # fmt: skip
    for case in ("purify", "classify -o p.h5", "show", "evaluate"):
        found += [
            Surroundings(case, " ".join(f"{k}={v}" for k, v in variables.items()),
                         environment=variables, codes=frozenset({2, 3}))
            for variables in _VARIABLES
        ]  # fmt: skip
    return found


_VARIABLES: tuple[dict[str, str], ...] = (
    {"HOME": "/nonexistent"}, {"HOME": ""}, {"TMPDIR": "/nonexistent"}, {"TERM": "dumb"},
    {"LC_ALL": "C", "LANG": "C"}, {"LC_ALL": "nothing.latin1"}, {"PYTHONIOENCODING": "ascii"},
    {"NO_COLOR": "1"}, {"FORCE_COLOR": "1"}, {"COLUMNS": "0"}, {"COLUMNS": "x"}, {"COLUMNS": "1"},
    {"NUMBA_NUM_THREADS": "0"}, {"OMP_NUM_THREADS": "x"}, {"MPLBACKEND": "nothing"},
    {"MPLCONFIGDIR": "/nonexistent"}, {"NUMBA_CACHE_DIR": "/nonexistent"}, {"PATH": ""},
)  # fmt: skip


def try_surroundings(laboratory: Laboratory, prepared: Prepared, place: Surroundings) -> Verdict:
    """Run a case in hostile surroundings, then again in ordinary ones."""
    case, before, whole = prepared.case, prepared.before, prepared.whole
    laboratory.clean()
    if place.disk and not laboratory.mount(place.disk):
        return Verdict(case.name, place.name, "", [], came_about=False)
    try:
        ended = laboratory.run(
            case.arguments, limits=place.limits, environment=place.environment,
            closed=place.closed, stdout=place.stdout, limit=prepared.limit,
        )  # fmt: skip
        tree = laboratory.work_tree()
    finally:
        if place.disk:
            laboratory.unmount()
    complaints = verdicts.state_of(case, tree, before, whole)
    complaints += _verdict(ended, place)
    if ended.status == 0 and untimed(visible(tree)) != untimed(visible(whole)):
        complaints.append("ends well without its result")
    laboratory.clean(tree)
    again = laboratory.run(case.arguments, limit=prepared.limit)
    complaints += verdicts.taken_up(case, again, laboratory.work_tree(), whole)
    return Verdict(case.name, place.name, f"exit {ended.status}", complaints, came_about=True)


def _verdict(ended: Ended, place: Surroundings) -> list[str]:
    codes = {0, *place.codes}
    streams = any(place.closed[1:]) or place.stdout is not None
    if streams and ended.status in codes | {1}:
        return [f"orphan: {name}" for name in ended.orphans]  # it cannot say more
    complaints = verdicts.manners(ended, codes)
    if "FORCE_COLOR" in place.environment:  # asked for
        complaints = [c for c in complaints if not c.startswith("raw character")]
    return complaints


def case_for(place: Surroundings) -> Case:
    """The case that is tried."""
    return case_of(place.case)
