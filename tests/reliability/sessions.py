"""Commands in the hands of people: stopped at random moments, on terminals and without."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rsparse.store.images import encode_png
from tests.conftest import make_picture
from tests.reliability.cases import MODEL
from tests.reliability.experiments import Verdict
from tests.reliability.laboratory import Laboratory
from tests.reliability.terminals import PATIENCE, Session, on_terminal, stopped
from tests.reliability.trees import Tree, difference, tree_of, untimed

NAMES = ("\x1b]0;pwned\x07", "\x1b[2Jcleared", "[red]markup", "line\nbreak", "\u202egnp")
STOPPED = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
LINES = {
    "purify -j 2": "purify inputs/large -d inputs/dict.h5 --sparsity 2 --stride 1 -o work/out -j 2",
    "attack -j 2": f"attack inputs/clean -m {MODEL} -a LinfPGD:eps=8,steps=300 --batch-size 1 "
    "-o work/adv -j 2",
    "evaluate -j 2": f"evaluate inputs/clean -m {MODEL} -a bim:eps=8,steps=60 --defense median "
    "--batch-size 1 --no-extra-checks -o work/eval -j 2",
}


@dataclass(frozen=True)
class Stop:
    """A way to stop a command: a signal, to one process or all, once or twice, on a terminal."""

    number: signal.Signals
    group: bool = False
    twice: bool = False
    terminal: bool = False

    def __str__(self) -> str:
        words = [self.number.name, *(["to all processes"] if self.group else [])]
        words += ["twice"] if self.twice else []
        return " ".join([*words, "on a terminal"] if self.terminal else words)


STOPS = (
    *(Stop(number, group=group) for number in STOPPED for group in (False, True)),
    Stop(signal.SIGKILL), Stop(signal.SIGKILL, group=True), Stop(signal.SIGINT, twice=True),
    Stop(signal.SIGINT, terminal=True), Stop(signal.SIGINT, twice=True, terminal=True),
    Stop(signal.SIGHUP, terminal=True),
)  # fmt: skip


class Sessions:
    """A command that takes seconds, and what it makes undisturbed."""

    def __init__(self, laboratory: Laboratory, name: str) -> None:
        self.laboratory, self.name, self.line = laboratory, name, LINES[name].split()
        _make_large(laboratory.inputs)
        self.sandbox = laboratory.sandbox.resolve()
        laboratory.clean()
        start = time.monotonic()
        whole = stopped(self.line, signal.SIGTERM, lambda: False, folder=self.sandbox, limit=300)
        assert whole.status == 0, whole.text
        self.seconds = time.monotonic() - start
        self.whole: Tree = tree_of(laboratory.work)

    def stop(self, stop: Stop, seed: str) -> Verdict:
        """Stop it at a moment that ``seed`` draws; then run it again."""
        self.laboratory.clean()
        moment = random.Random(f"{self.name} {stop} {seed}").uniform(0.0, self.seconds)
        session = self._session(stop, moment)
        complaints = judge(session, stop)
        again = self.laboratory.run(self.line, limit=300)
        if again.status != 0 and "exists" not in "".join(again.lines):
            complaints.append(f"then: exit code {again.status}: {again.lines[-1:]}")
        elif left := difference(untimed(tree_of(self.laboratory.work)), untimed(self.whole)):
            complaints.append(f"then: {left}")
        where = f"after {moment:.2f} s"
        return Verdict(self.name, str(stop), where, complaints, session.status != 0)

    def _session(self, stop: Stop, moment: float) -> Session:
        start = time.monotonic()

        def now() -> bool:
            return time.monotonic() - start >= moment

        if not stop.terminal:
            return stopped(self.line, stop.number, now, folder=self.sandbox,
                           again=0.2 if stop.twice else None, whole_group=stop.group)  # fmt: skip
        key: bytes | signal.Signals = b"\x03" if stop.number == signal.SIGINT else stop.number
        actions: list[tuple[Callable[[bytes], bool], bytes | signal.Signals]]
        actions = [(lambda shown: now(), key)] * (2 if stop.twice else 1)
        return on_terminal(self.line, actions, folder=self.sandbox)


def judge(session: Session, stop: Stop) -> list[str]:
    """What is promised of a command that is stopped at any moment."""
    complaints = [f"orphan: {name}" for name in session.left]
    if session.status == 0:  # it was done before
        return complaints
    if session.seconds_to_end > PATIENCE:
        complaints.append(f"hang: ended {session.seconds_to_end:.1f} s after the signal")
    if "Traceback" in session.text:
        complaints.append(f"traceback: {session.text.splitlines()[-1:]}")
    if stop.number == signal.SIGKILL:
        return complaints
    dead = -stop.number  # before Python itself has started
    if session.status not in (STOPPED[stop.number], dead):
        complaints.append(f"exit code {session.status} instead of {STOPPED[stop.number]}")
    elif session.status != dead and stop.number != signal.SIGHUP:
        told = [line for line in session.text.splitlines() if line.startswith("rsparse: ")]
        if len(told) != 1:
            complaints.append(f"{len(told)} lines instead of one")
    if stop.terminal and stop.number == signal.SIGINT and not session.shows_cursor:
        complaints.append("the cursor stays hidden")
    return complaints


def hostile_names(laboratory: Laboratory) -> list[Callable[[], Verdict]]:
    """Pictures whose names would change a terminal, shown on one."""
    folder = laboratory.inputs / "hostile"
    if not folder.exists():
        folder.mkdir()
        for number, name in enumerate(NAMES):
            (folder / f"{name}.png").write_bytes(encode_png(make_picture(number, 16, 16)))
        (folder / "\x1b[31mbroken.png").write_bytes(b"no picture")
    lines = (
        f"classify inputs/hostile -m {MODEL}", "localize inputs/hostile -o work/masks",
        "purify inputs/hostile --defense median -o work/out", "show inputs/hostile",
        f"attack inputs/hostile -m {MODEL} -a fgsm:eps=4 -o work/adv",
    )  # fmt: skip
    return [lambda line=line: _shown(laboratory, line.split()) for line in lines]


def _shown(laboratory: Laboratory, line: Sequence[str]) -> Verdict:
    laboratory.clean()
    session = on_terminal(line, [], folder=laboratory.sandbox.resolve())
    raw = [name for name in ("\x1b]0;", "\x1b[2J", "\x1b[31mbroken", "\u202e")
           if name.encode() in session.shown]  # fmt: skip
    complaints = [f"raw {name!r} reaches the terminal" for name in raw]
    if "Traceback" in session.text:
        complaints.append(f"traceback: {session.text.splitlines()[-1:]}")
    complaints += [f"orphan: {name}" for name in session.left]
    return Verdict(" ".join(line[:2]), "hostile names on a terminal", "", complaints, True)


def _make_large(inputs: Path) -> None:
    folder = inputs / "large"
    if not folder.exists():
        new = inputs / "large.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        for number in range(24):
            (new / f"{number:02d}.png").write_bytes(encode_png(make_picture(number, 160, 160)))
        new.rename(folder)
