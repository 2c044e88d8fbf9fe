"""A Dask scheduler and its workers as processes of their own, to be watched and killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path


class DaskProcesses:
    """A scheduler on a free port, and the workers that were started for it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        self._folder = folder
        self._log = (folder / "dask.log").open("wb")
        self.workers: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start(
            "scheduler",
            "--port",
            0,
            "--no-show",
            "--no-dashboard",
            "--dashboard-address",
            ":0",
            "--scheduler-file",
            self.file,
        )
        deadline = time.monotonic() + 60
        while not self.file.exists() or not self.file.read_text().endswith("}"):
            assert self.scheduler.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)

    @property
    def address(self) -> str:
        """Where the scheduler listens."""
        return str(json.loads(self.file.read_text())["address"])

    def log(self) -> str:
        """What all the processes have printed."""
        return (self._folder / "dask.log").read_text()

    def add_worker(self, *options: object, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker of one thread, without waiting for it."""
        worker = self._start(
            "worker", self.address, "--nthreads", 1, "--no-nanny", "--no-dashboard",
            "--local-directory", self._folder / f"w{len(self.workers)}", *options, **environment,
        )  # fmt: skip
        self.workers.append(worker)
        return worker

    def _start(self, name: str, *options: object, **environment: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{name}", "--host", "127.0.0.1"]
        paths = os.pathsep.join(filter(None, sys.path))
        return subprocess.Popen(
            [*command, *map(str, options)], stdout=self._log, stderr=self._log,
            env={**os.environ, "PYTHONPATH": paths, **environment},
            cwd=self._folder, start_new_session=True,
        )  # fmt: skip

    def close(self) -> None:
        """Kill what still runs."""
        for running in (*self.workers, self.scheduler):
            running.kill()
            running.wait()
        self._log.close()
