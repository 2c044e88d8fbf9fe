"""A process that has imported rsparse and forks for each command, so that one costs milliseconds.

``python -m tests.reliability.warm CONTROL SANDBOX [light]`` reads requests as JSON lines on its
standard input and answers each with a JSON line; `laboratory.py` is its client. ``light`` leaves
out the libraries of attacks and trainings.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import mmap
import os
import resource
import runpy
import select
import signal
import struct
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import Any, NoReturn

LEFT_BEHIND = 3.0
"""Seconds after the end of a command until which its other processes must be gone."""
_LIGHT = (
    "cv2", "numpy", "h5py", "PIL.Image", "onnx", "onnxruntime", "numba", "sklearn.decomposition",
    "rich.progress", "rich.table", "threadpoolctl", "joblib", "typer.main", "tomllib",
    "concurrent.futures.thread", "concurrent.futures.process",
)  # fmt: skip
_HEAVY = (
    "torch", "foolbox", "eagerpy", "onnx2torch", "matplotlib.figure", "scipy.stats", "jinja2",
    "matplotlib.backends.backend_agg", "safetensors.torch", "timm", "huggingface_hub",
)  # fmt: skip
_NOT_HERE = ("torchvision", "triton", "rsparse.core.engines.triton")
_SUBREAPER, _NEW_NAMESPACE, _PRIVATE, _RECURSIVE = 36, 0x20000, 1 << 18, 1 << 14


def import_everything(*, light: bool) -> None:
    """Import rsparse with all its modules and libraries; what is not installed is left out."""
    if not light:
        with contextlib.suppress(ImportError):
            importlib.import_module("tests.torchvision_operators").import_torchvision()
    for name in _LIGHT if light else (*_LIGHT, *_HEAVY):
        with contextlib.suppress(ImportError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(name)
    import rsparse

    package = Path(rsparse.__file__).parent
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        if "triton" not in parts and parts[-1] != "__main__" and not _is_command(name):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    with contextlib.suppress(ImportError):
        import cv2

        cv2.setNumThreads(1)
    compile_loops()
    gc.freeze()


def _is_command(name: str) -> bool:
    """Whether importing a module declares a command: each one costs time in every child."""
    from rsparse.cli.app import COMMANDS

    return name in {f"rsparse.cli.{command.replace('-', '_')}" for command in COMMANDS}


def compile_loops() -> None:
    """Load the compiled inner loops by cleaning one tiny picture; this starts no thread."""
    import numpy as np

    import rsparse

    rng = np.random.default_rng(0)
    atoms = rng.standard_normal((16, 48)).astype(np.float32)
    dictionary = rsparse.Dictionary(atoms / np.linalg.norm(atoms, axis=1, keepdims=True), 4)
    pixels = rng.integers(0, 255, (16, 16, 3)).astype(np.uint8)
    for parameters in (None, rsparse.PurifyParameters(sparsity=1)):
        rsparse.purify(pixels, dictionary, parameters)


def own_mounts() -> bool:
    """Give this process a mount namespace of its own, where that is permitted."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NAMESPACE) != 0:
        return False
    return bool(libc.mount(b"none", b"/", None, _PRIVATE | _RECURSIVE, None) == 0)


def mount(path: str, size: int) -> bool:
    """Mount a disk of ``size`` bytes in memory at ``path``."""
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", 0, b"size=%d" % size) == 0)


def unmount(path: str) -> None:
    """Take the disk at ``path`` away."""
    ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(path), 2)


class Server:
    """Answers requests one after the other."""

    def __init__(self, control: Path, sandbox: Path) -> None:
        self.sandbox = sandbox
        with control.open("r+b") as file:
            self.control = mmap.mmap(file.fileno(), 0)
        self.requests = os.fdopen(os.dup(0), "r")
        self.answers = os.fdopen(os.dup(1), "w", buffering=1)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)  # orphans become children of this process
        self.can_mount = own_mounts()

    def serve(self) -> dict[str, Any] | None:
        """Answer until the input ends; in a forked child, return what it is to become."""
        tasks = len(os.listdir("/proc/self/task"))
        self.answer({"pid": os.getpid(), "tasks": tasks, "can_mount": self.can_mount})
        for line in self.requests:
            request = json.loads(line)
            if "mount" in request:
                self.answer({"mounted": mount(request["mount"], request["size"])})
            elif "unmount" in request:
                unmount(request["unmount"])
                self.answer({})
            else:
                child = os.fork()
                if child == 0:
                    self.become(request)
                    return dict(request)
                self.answer(self.watch(child, request))
                self.learn(Path(request["modules"]))
        return None

    @staticmethod
    def learn(names: Path) -> None:
        """Import what the command imported late, so that the next one need not."""
        if names.exists():
            for name in names.read_text().split():
                known = name in sys.modules or name.startswith(_NOT_HERE)
                if not known and not _is_command(name):
                    with contextlib.suppress(Exception):
                        importlib.import_module(name)
            gc.freeze()
            names.unlink()

    def answer(self, value: dict[str, Any]) -> None:
        self.answers.write(json.dumps(value) + "\n")

    def become(self, request: dict[str, Any]) -> None:
        """Turn this forked process into what a shell would have started."""
        os.setsid()
        self.requests.close()
        self.answers.close()
        out, err = (
            os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for name in ("stdout", "stderr")
        )
        for number, closed in zip((0, 1, 2), request["closed"], strict=True):
            source = (0, out, err)[number]
            if closed:
                os.close(number)
            elif number:
                os.dup2(source, number)
        os.close(out)
        os.close(err)
        os.chdir(self.sandbox)
        os.environ.update(request["environment"])
        for name, limit in request["limits"].items():
            resource.setrlimit(getattr(resource, name), (limit, limit))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.control[:4] = struct.pack("<I", 1)

    def watch(self, child: int, request: dict[str, Any]) -> dict[str, Any]:
        """Wait for the command and for the processes that it started."""
        start = time.monotonic()
        handle = os.pidfd_open(child)
        ready = select.select([handle], [], [], request["limit"])[0]
        while not ready and time.monotonic() - start - _queued(child) < request["limit"]:
            ready = select.select([handle], [], [], 0.5)[0]
        seconds = time.monotonic() - start
        os.close(handle)
        if not ready:
            os.kill(child, signal.SIGKILL)
        _, status, used = os.wait4(child, 0)
        orphans = self.left_behind(LEFT_BEHIND if ready else 0.2)
        self.control[:4] = struct.pack("<I", 0)
        return {
            "status": os.waitstatus_to_exitcode(status),
            "seconds": seconds,
            "cpu": used.ru_utime + used.ru_stime,
            "timed_out": not ready,
            "orphans": orphans,
        }

    def left_behind(self, patience: float) -> list[str]:
        """End what is left of the command; the names of those that did not end by themselves."""
        deadline = time.monotonic() + patience
        while children := self.children():
            if time.monotonic() > deadline:
                names = [_command_of(child) for child in children]
                for child in children:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)
                while self.children():
                    time.sleep(0.01)
                return names
            time.sleep(0.005)
        return []

    def children(self) -> list[int]:
        """Living children; the dead are buried."""
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0] > 0:
                pass
        found = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        return [int(number) for number in found]


def _queued(process: int) -> float:
    """Seconds that a process was ready but waited for a core, which other programs had."""
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def _command_of(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:200]
    except OSError:
        return "gone"


def run_command(arguments: list[str], control: mmap.mmap, modules: str) -> NoReturn:
    """Run and end as ``python -m rsparse`` would, but for the destructors of C++ libraries.

    They would wait for threads of the parent, which a forked process does not have.
    """
    known = set(sys.modules)
    sys.argv = ["rsparse", *arguments]
    try:
        runpy.run_module("rsparse", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            code = code or 120
    control[:4] = struct.pack("<I", 0)
    with contextlib.suppress(OSError):
        Path(modules).write_text(" ".join(set(sys.modules) - known - {"__mp_main__"}))
    os._exit(code)


def main() -> None:
    """Serve; a forked child runs the command."""
    control, sandbox = map(Path, sys.argv[1:3])
    import_everything(light="light" in sys.argv[3:])
    server = Server(control, sandbox)
    request = server.serve()
    if request is not None:
        run_command(request["arguments"], server.control, request["modules"])
    os._exit(0)


if __name__ == "__main__":
    main()
