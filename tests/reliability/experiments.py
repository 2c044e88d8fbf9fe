"""One experiment: a case with a fault at a call, and its verdict."""

from __future__ import annotations

import errno
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.reliability import injector, verdicts
from tests.reliability.cases import Case
from tests.reliability.injector import GROWING, STATES, Call, Fault
from tests.reliability.laboratory import Ended, Laboratory
from tests.reliability.trees import Tree

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SLOW_LIMIT = 120.0


@dataclass(frozen=True)
class Prepared:
    """A case with what lies there before, and with what an undisturbed run makes of it."""

    case: Case
    before: Tree
    whole: Tree
    calls: list[Call] = field(repr=False)
    limit: float

    def number(self, kinds: frozenset[str]) -> int:
        """How many calls of these kinds the undisturbed run made."""
        return sum(call.kind in kinds for call in self.calls)


def prepare(laboratory: Laboratory, case: Case) -> Prepared:
    """Run a case undisturbed, with all calls numbered."""
    limit = SLOW_LIMIT if case.slow else 60.0
    laboratory.clean()
    if case.before:
        made = laboratory.run(case.before, limit=limit)
        assert made.status == 0, made.stderr.decode()
    before = laboratory.work_tree()
    everything = Fault(calls=frozenset(injector.CALLS))
    done = laboratory.run(case.arguments, everything, limit=limit)
    assert done.status == 0, f"{case}: {done.stderr.decode()}"
    allowed = max(15.0, 8 * done.seconds)
    return Prepared(case, before, laboratory.work_tree(), done.calls, allowed)


@dataclass(frozen=True)
class Verdict:
    """What came of an experiment."""

    case: str
    fault: str
    where: str
    complaints: list[str]
    came_about: bool


def experiment(laboratory: Laboratory, prepared: Prepared, fault: Fault) -> Verdict:
    """Run the case with the fault, look at what it left, run it again, and look again."""
    case, before, whole = prepared.case, prepared.before, prepared.whole
    laboratory.clean(before)
    ended = laboratory.run(case.arguments, fault, limit=prepared.limit)
    tree = laboratory.work_tree()
    if verdicts.state_of(case, tree, before, whole):
        _read(laboratory, case)  # what is only half in place is put in place by its first reader
        tree = laboratory.work_tree()
    complaints = _first_verdict(prepared, ended, fault, tree)
    again = laboratory.run(case.arguments, limit=prepared.limit)
    complaints += verdicts.taken_up(case, again, laboratory.work_tree(), whole)
    hit = next((f"{call.kind} {call.path}" for call in ended.calls if call.hit), "")
    return Verdict(case.name, str(fault), hit, complaints, ended.hits > 0)


def _read(laboratory: Laboratory, case: Case) -> None:
    """Look at every artifact that consists of several files."""
    for main, *_ in case.together:
        laboratory.run(["show", f"work/{main}"])


def _first_verdict(prepared: Prepared, ended: Ended, fault: Fault, tree: Tree) -> list[str]:
    case, before, whole = prepared.case, prepared.before, prepared.whole
    complaints = verdicts.state_of(case, tree, before, whole)
    if fault.action == "torn" or (fault.value == signal.SIGKILL and "signal" in fault.action):
        orphans = [f"orphan: {name}" for name in ended.orphans]
        return complaints + orphans + (["hang: a killed command"] if ended.timed_out else [])
    if fault.action.startswith("signal"):
        return complaints + verdicts.after_a_signal(ended, fault, tree, whole)
    return complaints + verdicts.after_a_fault(ended, fault, tree, before, whole)


def kill_faults(prepared: Prepared) -> list[Fault]:
    """SIGKILL before every call after which the files differ, and in the middle of each write."""
    states = range(1, prepared.number(STATES) + 1)
    writes = range(1, prepared.number(frozenset({"write"})) + 1)
    faults = [injector.killed(at) for at in states] + [injector.torn(at) for at in writes]
    if prepared.case.name.endswith("-j 2"):
        faults += [injector.killed(at, group=True) for at in states]
    return faults


def signal_faults(prepared: Prepared) -> list[Fault]:
    """Each signal before every call after which the files differ."""
    states = range(1, prepared.number(STATES) + 1)
    return [injector.interrupted(at, number) for at in states for number in SIGNALS]


def disk_faults(prepared: Prepared) -> list[Fault]:
    """Full and broken disks from every call on, short writes, and too many open files."""

    def numbers(*kinds: str) -> range:
        return range(1, prepared.number(frozenset(kinds)) + 1)

    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    growing, changes = numbers(*GROWING), numbers(*injector.CHANGES)
    return [
        *(injector.disk_full(at, error) for at in growing for error in full),
        *(injector.broken(at) for at in changes),
        *(injector.broken(at, lasting=True) for at in changes),
        *(injector.read_only(at) for at in numbers("open", "rename", "unlink", "mkdir", "rmdir",
                                                   "link")),
        *(injector.short_write(at) for at in numbers("write")),
        *(injector.unreadable(at) for at in numbers("read")),
        *(injector.no_more_files(at) for at in numbers("open", "read-open")),
    ]  # fmt: skip


def sample(faults: list[Fault], n: int, seed: str) -> Iterator[Fault]:
    """At most ``n`` of the faults, drawn by ``seed``, in their order."""
    rng = random.Random(seed)
    chosen = sorted(rng.sample(range(len(faults)), min(n, len(faults))))
    return (faults[i] for i in chosen)
