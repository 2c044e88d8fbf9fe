"""The long part: units of experiments in turns until the time is used up, counted on disk."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.reliability import cases, environments, experiments, mutants, sessions
from tests.reliability.experiments import Prepared, Verdict
from tests.reliability.inputs import make_inputs
from tests.reliability.laboratory import REPOSITORY, Laboratory

PARTS = {
    "kills": "SIGKILL at a file-system call",
    "signals": "SIGINT, SIGTERM or SIGHUP at a file-system call",
    "calls": "a failing or short file-system call",
    "surroundings": "small disks, low limits, closed streams, odd variables",
    "sessions": "signals at random moments, terminals",
    "mutants": "damaged files",
}
TURN = 5.0
"""Seconds of a unit's turn, so that every unit is sampled whatever the budget."""
MUTANTS_OF_A_KIND = 2000
ROUNDS_OF_STOPS = 5
_FAULTS = {
    "kills": experiments.kill_faults,
    "signals": experiments.signal_faults,
    "calls": experiments.disk_faults,
}


def sources_digest() -> str:
    """What distinguishes the program under test from an earlier one."""
    digest = hashlib.sha256()
    for folder in ("rsparse", "tests/reliability"):
        for path in sorted((REPOSITORY / folder).rglob("*")):
            if path.suffix in (".py", ".c"):
                digest.update(str(path.relative_to(REPOSITORY)).encode() + path.read_bytes())
    return digest.hexdigest()


@dataclass
class Unit:
    """Experiments of one part with one case; ``experiments`` are drawn when its turn comes."""

    part: str
    name: str
    command: str
    make: Callable[[Unit, Bench], Sequence[Callable[[], Verdict]]]
    steps: Sequence[Callable[[], Verdict]] | None = None

    @property
    def file(self) -> str:
        """The name of its counts."""
        safe = "".join(c if c.isalnum() else "-" for c in self.name)
        return f"{self.part}--{safe}.json"


class Bench:
    """A laboratory with the cases that were prepared in it."""

    def __init__(
        self, folder: Path, seed: int, inputs: Path | None = None, *, light: bool = False
    ) -> None:
        self.folder, self.seed = folder, seed
        if inputs is not None and not (folder / "sandbox" / "inputs").exists():
            shutil.copytree(inputs, folder / "sandbox" / "inputs")
        self.laboratory = Laboratory(folder, light=light)
        make_inputs(self.laboratory)
        self._prepared: dict[str, Prepared] = {}

    def prepared(self, case: cases.Case) -> Prepared:
        """A case's undisturbed run, done once."""
        if case.name not in self._prepared:
            self._prepared[case.name] = experiments.prepare(self.laboratory, case)
        return self._prepared[case.name]

    def restart(self) -> None:
        """A new warm process, after the old one was lost."""
        self.laboratory = Laboratory(self.folder)


def all_units() -> list[Unit]:
    """Everything that can be tried."""
    units = [
        Unit(part, case.name, case.command, _fault_steps)
        for case in (*cases.all_cases(), *cases.in_processes())
        for part in _FAULTS
    ]
    by_case: dict[str, cases.Case] = {}
    for place in environments.all_surroundings():
        by_case[place.case] = environments.case_for(place)
    units += [Unit("surroundings", n, c.command, _surroundings_steps) for n, c in by_case.items()]
    units += [Unit("sessions", name, name.split()[0], _session_steps) for name in sessions.LINES]
    units.append(Unit("sessions", "hostile names", "classify", _name_steps))
    units += [Unit("mutants", kind.name, "", _mutant_steps) for kind in mutants.all_kinds()]
    return units


def _case_of(unit: Unit) -> cases.Case:
    every = (*cases.all_cases(), *cases.in_processes())
    return next(case for case in every if case.name == unit.name)


def _fault_steps(unit: Unit, bench: Bench) -> Sequence[Callable[[], Verdict]]:
    prepared = bench.prepared(_case_of(unit))
    faults = _FAULTS[unit.part](prepared)
    random.Random(f"{bench.seed} {unit.part} {unit.name}").shuffle(faults)
    return [
        lambda fault=fault: experiments.experiment(bench.laboratory, prepared, fault)
        for fault in faults
    ]


def _surroundings_steps(unit: Unit, bench: Bench) -> Sequence[Callable[[], Verdict]]:
    prepared = bench.prepared(_case_of(unit))
    places = [p for p in environments.all_surroundings() if p.case == unit.name]
    random.Random(f"{bench.seed} {unit.name}").shuffle(places)
    return [
        lambda place=place: environments.try_surroundings(bench.laboratory, prepared, place)
        for place in places
    ]


def _mutant_steps(unit: Unit, bench: Bench) -> Sequence[Callable[[], Verdict]]:
    kind = next(kind for kind in mutants.all_kinds() if kind.name == unit.name)
    breeder = mutants.Breeder(bench.laboratory, kind)
    return [
        lambda number=number: breeder.mutant(f"{bench.seed}/{number}")
        for number in range(MUTANTS_OF_A_KIND)
    ]


def _session_steps(unit: Unit, bench: Bench) -> Sequence[Callable[[], Verdict]]:
    command = sessions.Sessions(bench.laboratory, unit.name)
    draws = [(stop, number) for number in range(ROUNDS_OF_STOPS) for stop in sessions.STOPS]
    return [
        lambda stop=stop, number=number: command.stop(stop, f"{bench.seed}/{number}")
        for stop, number in draws
    ]


def _name_steps(unit: Unit, bench: Bench) -> Sequence[Callable[[], Verdict]]:
    return sessions.hostile_names(bench.laboratory)


class Counts:
    """A unit's counts on disk: how many were tried, and every complaint."""

    def __init__(self, folder: Path, unit: Unit) -> None:
        self.path, self.unit = folder / unit.file, unit
        try:
            found = json.loads(self.path.read_text())
        except (OSError, ValueError):
            found = {}
        self.tried, self.happened = found.get("tried", 0), found.get("happened", 0)
        self.total, self.faults = found.get("total", 0), found.get("faults", [])

    def add(self, verdict: Verdict) -> None:
        """Count an experiment."""
        self.tried += 1
        self.happened += verdict.came_about
        if verdict.complaints:
            self.faults.append([verdict.case, verdict.fault, verdict.where, verdict.complaints])

    def save(self) -> None:
        """Write the counts, whole."""
        value = {
            "part": self.unit.part, "name": self.unit.name, "command": self.unit.command,
            "tried": self.tried, "happened": self.happened, "total": self.total,
            "faults": self.faults,
        }  # fmt: skip
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(value, indent=1))
        new.replace(self.path)


def run_units(
    bench: Bench, units: Sequence[Unit], state: Path, deadline: float, say: Callable[[str], None]
) -> None:
    """Give each unit its turns until all are exhausted or the time is used up."""
    waiting = list(units)
    while waiting and time.monotonic() < deadline:
        for unit in list(waiting):
            counts = Counts(state, unit)
            for verdict in _turn(bench, unit, counts, deadline):
                counts.add(verdict)
                if verdict.complaints:
                    said = "; ".join(verdict.complaints)
                    say(f"FAULT {verdict.case} | {verdict.fault} | {verdict.where} | {said}")
            counts.save()
            if unit.steps is not None and counts.tried >= len(unit.steps):
                waiting.remove(unit)
            if time.monotonic() >= deadline:
                break


def _turn(bench: Bench, unit: Unit, counts: Counts, deadline: float) -> Iterator[Verdict]:
    try:
        if unit.steps is None:
            unit.steps = unit.make(unit, bench)
            counts.total = len(unit.steps)
        end = min(deadline, time.monotonic() + TURN)
        for step in unit.steps[counts.tried :]:
            yield step()
            if time.monotonic() >= end:
                return
    except RuntimeError as error:  # the warm process is lost
        yield Verdict(unit.name, "", "", [f"the laboratory failed: {error}"], came_about=False)
        bench.restart()
    except AssertionError as error:  # it does not even work undisturbed
        yield Verdict(unit.name, "undisturbed", "", [f"{error}"[:300]], came_about=False)
        unit.steps = []
