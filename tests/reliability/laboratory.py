"""Run commands under faults: a sandbox with inputs, a warm process, and what came of each run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, Self

from tests.hub_server import HubServer
from tests.reliability.injector import Call, Control, Fault, build_injector
from tests.reliability.trees import Tree, restore, tree_of

LIMIT = 15.0
"""Seconds after which a command on tiny inputs counts as hanging."""
REPOSITORY = Path(__file__).parent.parent.parent
UNDISTURBED = Fault()


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int  # exit code, or minus the signal
    seconds: float
    cpu: float
    timed_out: bool
    orphans: list[str]
    stdout: bytes
    stderr: bytes
    hits: int = 0
    calls: list[Call] = field(default_factory=list, repr=False)
    strays: list[str] = field(default_factory=list, repr=False)

    @property
    def lines(self) -> list[str]:
        """What it said on standard error."""
        return self.stderr.decode(errors="replace").splitlines()


class Laboratory:
    """A sandbox with ``inputs/``, ``work/``, ``home/`` and ``tmp/``, in which commands run.

    Commands start in the sandbox, so that their arguments are relative paths, and see ``home/`` and
    ``tmp/`` as HOME and TMPDIR. ``light`` is for commands without torch, which start sooner.
    """

    def __init__(self, folder: Path, *, light: bool = False) -> None:
        self.light = light
        self.sandbox, self._private = folder / "sandbox", folder / "private"
        for path in (self._private, self.inputs):
            path.mkdir(parents=True, exist_ok=True)
        self.control = Control(self._private / "control", self.sandbox.resolve())
        self.clean()
        self.hub = HubServer(b"")
        Thread(target=self.hub.serve_forever, args=(0.05,), daemon=True).start()
        self._process = self._start()
        hello = json.loads(self._read())
        self.pid, self.can_mount = int(hello["pid"]), bool(hello["can_mount"])
        self.tasks = int(hello["tasks"])

    @property
    def inputs(self) -> Path:
        """What commands read; an experiment leaves it unchanged."""
        return self.sandbox / "inputs"

    @property
    def work(self) -> Path:
        """Where commands write."""
        return self.sandbox / "work"

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.reliability.warm"]
        command += [str(self.control.path), str(self.sandbox.resolve())]
        command += ["light"] if self.light else []
        environment = {
            **os.environ,
            "LD_PRELOAD": str(build_injector()),
            "RELIABILITY_CONTROL": str(self.control.path),
            "PYTHONPATH": f"{REPOSITORY}:{os.environ.get('PYTHONPATH', '')}".rstrip(":"),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MPLCONFIGDIR": str(self._private),
            "HF_ENDPOINT": self.hub.url,
            "HF_HOME": str(self.sandbox.resolve() / "home" / "hub"),
        }
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            cwd=REPOSITORY, start_new_session=True,
        )  # fmt: skip

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the warm process ended with {self._process.wait()}")
        return line

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._read())
        return answer

    def clean(self, before: Tree | None = None) -> None:
        """Empty ``work/``, ``home/`` and ``tmp/``; ``before`` is then in ``work/``."""
        for name in ("work", "home", "tmp"):
            shutil.rmtree(self.sandbox / name, ignore_errors=True)
            (self.sandbox / name).mkdir()
        if before:
            restore(self.work, before)

    def run(
        self,
        arguments: Sequence[object],
        fault: Fault = UNDISTURBED,
        *,
        limits: Mapping[str, int] | None = None,
        environment: Mapping[str, str] | None = None,
        closed: tuple[bool, bool, bool] = (False, False, False),
        stdout: str | None = None,
        limit: float = LIMIT,
    ) -> Ended:
        """Run a command to its end, or until it is ended for taking longer than ``limit``."""
        places = {name: str(self._private / name) for name in ("stdout", "stderr")}
        for place in places.values():
            Path(place).unlink(missing_ok=True)
        self.control.set(fault)
        folders = {"HOME": self.sandbox / "home", "TMPDIR": self.sandbox / "tmp"}
        answer = self._ask({
            "arguments": list(map(str, arguments)),
            "limits": dict(limits or {}),
            "environment": {**{k: str(v) for k, v in folders.items()}, **(environment or {})},
            "closed": closed,
            "limit": limit,
            "modules": str(self._private / "modules"),
            **places,
            **({"stdout": stdout} if stdout else {}),
        })  # fmt: skip
        said = [
            Path(place).read_bytes() if Path(place).exists() else b"" for place in places.values()
        ]
        control = self.control
        return Ended(**answer, stdout=said[0], stderr=said[1], hits=control.hits,
                     calls=control.calls(), strays=control.strays())  # fmt: skip

    def work_tree(self) -> Tree:
        """What lies in ``work/`` now, also on a mounted disk."""
        return tree_of(Path(f"/proc/{self.pid}/root{self.work.resolve()}"))

    def mount(self, size: int) -> bool:
        """Mount a small disk at ``work/``."""
        return bool(self._ask({"mount": str(self.work.resolve()), "size": size})["mounted"])

    def unmount(self) -> None:
        """Take the small disk away."""
        self._ask({"unmount": str(self.work.resolve())})

    def close(self) -> None:
        """End the warm process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self.hub.shutdown()
        self.hub.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
