"""Runs a peer's tasks: ``peer_worker.py PACKAGES ARRAYS.npz``, JSON lines in, CPU seconds out."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np


def main() -> None:
    packages, arrays = sys.argv[1:]
    sys.path.append(packages)
    given = dict(np.load(arrays))
    answers, sys.stdout = sys.stdout, sys.stderr  # the peers print
    made: dict[str, Callable[[], object]] = {}
    for line in sys.stdin:
        options = json.loads(line)
        if line not in made:
            made[line] = TASKS[options.pop("task")](given, **options)
        start = time.process_time()
        made[line]()
        print(time.process_time() - start, file=answers, flush=True)


def spams_omp(given: dict[str, np.ndarray], sparsity: int) -> Callable[[], object]:
    import spams

    signals, dictionary = (np.asfortranarray(given[key].T) for key in ("signals", "dictionary"))
    return lambda: spams.omp(signals, dictionary, L=sparsity, eps=0.0, numThreads=1)


def spams_learn(
    given: dict[str, np.ndarray], mode: int, penalty: float, batch_size: int, result: str
) -> Callable[[], object]:
    import spams

    signals, start = (np.asfortranarray(given[key].T) for key in ("signals", "dictionary"))
    steps = len(given["signals"]) // batch_size

    def learn() -> None:
        atoms = spams.trainDL(
            signals, D=start, mode=mode, lambda1=penalty, batchsize=batch_size, iter=steps,
            numThreads=1, verbose=False,
        )  # fmt: skip
        np.save(result, np.ascontiguousarray(atoms.T))

    return learn


def batched_omp(given: dict[str, np.ndarray], sparsity: int) -> Callable[[], object]:
    import torch
    from orthogonal_matching_pursuit_gpu import run_omp

    torch.set_num_threads(1)
    atoms = torch.from_numpy(np.ascontiguousarray(given["dictionary"].T))
    signals = torch.from_numpy(given["signals"])
    return lambda: run_omp(atoms, signals, sparsity, normalize=False, fit_intercept=False)


TASKS: dict[str, Callable[..., Callable[[], object]]] = {
    "spams_omp": spams_omp, "spams_learn": spams_learn, "batched_omp": batched_omp,
}  # fmt: skip

if __name__ == "__main__":
    main()
