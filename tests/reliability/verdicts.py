"""What a command may leave behind after it was killed, starved or fed rubbish; the rest is a fault.

Each function returns complaints, one line each; none means that the promises were kept.
"""

from __future__ import annotations

import json
import re
import signal

from tests.reliability.cases import Case
from tests.reliability.injector import READS, Fault
from tests.reliability.laboratory import Ended
from tests.reliability.trees import Tree, difference, untimed, visible

EXIT_CODES = {0, 1, 2, 3}
STOPPED = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
TOLERABLE = READS | {"unlink", "rmdir", "mkdir", "attribute"}
"""Calls that a command may do without, if its result is whole."""
TEMPORARY = "tmp/"
"""The folder for temporary files; where it fails, Python takes another one."""

GROWING = "timing.json"
"""Measured times of an evaluation, whole at any moment, with more defenses from time to time."""

_RAW = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")


def manners(ended: Ended, codes: set[int] = EXIT_CODES) -> list[str]:
    """No traceback, crash, hang or orphan, whatever happened; nothing raw for a terminal."""
    complaints = []
    if ended.timed_out:
        complaints.append(f"hang: did not end within {ended.seconds:.0f} s")
    elif ended.status not in codes:
        complaints.append(f"exit code {ended.status}{_last_line(ended)}")
    if b"Traceback (most recent call last)" in ended.stderr:
        complaints.append(f"traceback{_last_line(ended)}")
    elif b"Exception ignored in" in ended.stderr or b"Fatal Python error" in ended.stderr:
        complaints.append(f"noise of the interpreter{_last_line(ended)}")
    complaints += [f"orphan: {name}" for name in ended.orphans]
    for name, said in (("stdout", ended.stdout), ("stderr", ended.stderr)):
        if found := _RAW.search(said):
            complaints.append(f"raw character {found.group()!r} on {name}")
    if ended.status in (2, 3) and (errors := _errors(ended)) and len(errors) > 1:
        complaints.append(f"{len(errors)} error lines")
    if ended.status in (2, 3) and not _errors(ended):
        complaints.append("no error line")
    return complaints


def _errors(ended: Ended) -> list[str]:
    return [line for line in ended.lines if line.startswith("rsparse: error: ")]


def _last_line(ended: Ended) -> str:
    return f": {ended.lines[-1][:160]}" if ended.lines else ", silent"


def state_of(case: Case, tree: Tree, before: Tree, whole: Tree) -> list[str]:
    """Every artifact in ``tree`` must be the older one, the finished one, or not finished."""
    complaints = []
    seen, old, new = (untimed(visible(t)) for t in (tree, before, whole))
    for folder in _finished_folders(seen):
        parts = [_below(t, folder) for t in (seen, old, new)]
        if parts[0] not in parts[1:]:
            complaints.append(f"half artifact {folder}: {difference(parts[0], parts[2])}")
    for group in case.together:
        parts = [{n: t[n] for n in group if n in t} for t in (seen, old, new)]
        if group[0] in parts[0] and parts[0] not in parts[1:]:
            complaints.append(f"half artifact {group[0]}: {difference(parts[0], parts[2])}")
    for folder in case.folders:
        parts = [_below(t, folder) for t in (seen, old, new)]
        if parts[0] and parts[0] not in parts[1:]:
            complaints.append(f"half artifact {folder}/: {difference(parts[0], parts[2])}")
    grouped = {name for group in case.together for name in group}
    for name in sorted(seen.keys() - grouped):
        alone = not any(name.startswith(f"{f}/") for f in _parts_of_folders(case, old, new))
        grows = name.endswith(GROWING)
        if alone and not grows and seen[name] not in (old.get(name), new.get(name)):
            complaints.append(f"half artifact {name}")
    return complaints


def _finished_folders(tree: Tree) -> list[str]:
    return [n.removesuffix("/manifest.json") for n in tree if n.endswith("/manifest.json")]


def _parts_of_folders(case: Case, *trees: Tree) -> set[str]:
    return {*case.folders, *(f for tree in trees for f in _finished_folders(tree))}


def _below(tree: Tree, folder: str) -> Tree:
    return {name: content for name, content in tree.items() if name.startswith(f"{folder}/")}


def taken_up(case: Case, again: Ended, tree: Tree, whole: Tree) -> list[str]:
    """The same command goes on to the bytes of an undisturbed run, and leaves nothing else."""
    complaints = [f"then: {complaint}" for complaint in manners(again)]
    exists = again.status == 2 and "exists; choose another output" in "".join(again.lines)
    if again.status != 0 and not (exists and not case.overwrites):
        complaints.append(f"then: exit code {again.status}{_last_line(again)}")
    elif left := difference(untimed(tree), untimed(whole)):
        word = "says that it exists, but it" if exists else "ends well, but"
        complaints.append(f"then: {word} {left}")
    return complaints


def after_a_fault(ended: Ended, fault: Fault, tree: Tree, before: Tree, whole: Tree) -> list[str]:
    """A failure of the machine: exit code 3 and one line; what is finished is finished."""
    if ended.hits == 0:
        return []
    complaints = manners(ended)
    if ended.status == 3 or ended.timed_out:
        return complaints
    kinds = {call.kind for call in ended.calls if call.hit and not call.path.startswith(TEMPORARY)}
    is_whole = untimed(visible(tree)) == untimed(visible(whole))
    if fault.action == "short" and not (ended.status == 0 and is_whole):
        complaints.append(f"short write: exit code {ended.status}{_last_line(ended)}")
    elif fault.action == "fail" and not (ended.status == 0 and is_whole and kinds <= TOLERABLE):
        where = ", ".join(sorted(kinds))
        said = _last_line(ended)
        if ended.status in EXIT_CODES:
            complaints.append(f"{where} fails: exit code {ended.status} instead of 3{said}")
        finished = set(_finished_folders(visible(tree))) - set(_finished_folders(visible(before)))
        complaints += [f"finished without all images: {f}" for f in finished if _lacks(tree, f)]
    return complaints


def _lacks(tree: Tree, folder: str) -> bool:
    manifest = json.loads(tree[f"{folder}/manifest.json"])
    return bool(manifest.get("failed"))


def after_a_signal(ended: Ended, fault: Fault, tree: Tree, whole: Tree) -> list[str]:
    """One line and the signal's exit code, within three seconds; or it was done already."""
    if ended.hits == 0:
        return []
    expected = STOPPED[signal.Signals(fault.value)]
    complaints = manners(ended, EXIT_CODES | {expected})
    is_whole = untimed(visible(tree)) == untimed(visible(whole))
    if ended.status != expected and not (ended.status == 0 and is_whole):
        complaints.append(f"exit code {ended.status} instead of {expected}")
    told = [line for line in ended.lines if line.startswith("rsparse: ")]
    if ended.status == expected and len(told) != 1:
        complaints.append(f"{len(told)} lines instead of one{_last_line(ended)}")
    return complaints
