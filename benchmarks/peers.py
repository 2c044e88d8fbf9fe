"""The programs that rsparse is compared with.

scikit-learn runs in the benchmark's own process. SPAMS (GPL) and orthogonal-matching-pursuit-gpu
are installed into separate folders and run in separate processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import orthogonal_mp_gram

from rsparse.core.engines.cpu import loops

SPAMS = ("spams-bin==2.6.14",)
BATCHED = ("orthogonal-matching-pursuit-gpu==0.1.3",)
_CORETYPES = ("", "Haswell", "Zen", "SkylakeX")  # the OpenBLAS in SPAMS may not know a new CPU


def installed(packages: tuple[str, ...], work: Path) -> Path | None:
    """A folder that holds the packages, made by pip on first use; none where pip cannot."""
    folder = work.absolute() / "peers" / packages[0].split("==")[0]
    if folder.is_dir():
        return folder
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target",
               str(folder), *packages]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{packages[0]} cannot be installed: it is left out", file=sys.stderr)
        return None
    return folder


class Worker:
    """``peer_worker.py`` in a separate process: tasks in, CPU seconds and results out."""

    def __init__(self, packages: Path, arrays: Path, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(Path(__file__).with_name("peer_worker.py")),
             str(packages), str(arrays)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, **{name: value for name, value in environment.items() if value}},
        )  # fmt: skip

    def __call__(self, task: str, **options: Any) -> float:
        """CPU seconds of a task.

        Raises
        ------
        RuntimeError
            If the worker has died of it.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"task": task, **options}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the peer died of {task} {options}")
        return float(answer)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def spams_worker(work: Path, **arrays: np.ndarray) -> tuple[Worker, str] | None:
    """SPAMS with the OpenBLAS kernels that suit it best here, and their name.

    ``signals`` (n, m) and ``dictionary`` (k, m) are among the arrays.
    """
    packages = installed(SPAMS, work)
    if packages is None:
        return None
    file = work.absolute() / "spams.npz"
    np.savez(file, **arrays)
    times = {}
    for coretype in _CORETYPES:
        worker = Worker(packages, file, OPENBLAS_CORETYPE=coretype)
        try:
            times[coretype] = min(worker("spams_omp", sparsity=5) for _ in range(3))
        except RuntimeError:  # kernels that this CPU cannot run
            pass
        worker.close()
    if not times:
        print("SPAMS does not run here: it is left out", file=sys.stderr)
        return None
    best = min(times, key=times.__getitem__)
    return Worker(packages, file, OPENBLAS_CORETYPE=best), best or "its own choice"


def batched_worker(work: Path, **arrays: np.ndarray) -> Worker | None:
    """orthogonal-matching-pursuit-gpu, with arrays as for ``spams_worker``."""
    packages = installed(BATCHED, work)
    if packages is None:
        return None
    file = work.absolute() / "batched.npz"
    np.savez(file, **arrays)
    return Worker(packages, file)


def scikit_codes(correlations: np.ndarray, gram: np.ndarray, sparsity: int) -> np.ndarray:
    """scikit-learn's codes (n, k) from correlations (n, k)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of flat patches, and of stopping before K atoms
        codes = orthogonal_mp_gram(gram, correlations.T, n_nonzero_coefs=sparsity)
    return np.asarray(codes).reshape(len(gram), len(correlations)).T


def _scikit_pursue(
    correlations: np.ndarray, gram: np.ndarray, sparsity: int, _energies: np.ndarray,
    _threshold: float, atoms: np.ndarray, coefficients: np.ndarray, _min_correlation: float = 0.0,
) -> None:  # fmt: skip
    """The arguments of ``numpy_loops.pursue``, but K alone stops it."""
    codes = scikit_codes(correlations, gram, sparsity)
    rows, columns = np.nonzero(codes)
    order = np.concatenate([np.arange(count) for count in np.bincount(rows, minlength=len(codes))])
    atoms[rows, order] = columns
    coefficients[rows, order] = codes[rows, columns]


@contextmanager
def scikit_engine() -> Iterator[None]:
    """rsparse's own pipeline, with scikit-learn's OMP for the pursuit."""
    with inner_loops(replace(loops.fastest, pursue=_scikit_pursue)):
        yield


@contextmanager
def inner_loops(chosen: loops.Loops) -> Iterator[None]:
    """Run other inner loops on the CPU meanwhile."""
    before, loops.fastest = loops.fastest, chosen
    try:
        yield
    finally:
        loops.fastest = before
