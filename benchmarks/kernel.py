"""Sparse coding: the pursuit compared with other programs and the machine's limit; whole images.

    python benchmarks/kernel.py [--shared ../shared] [--full]

The times are CPU times of one thread on one core, medians of interleaved runs. The floor is the
least arithmetic of the method, 2 m k + k K (K − 1) operations per patch, at the speed of the BLAS
on a large float32 product.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import measure
import numpy as np
import peers
import photographs

from rsparse.core.dictionary import Dictionary
from rsparse.core.engines.cpu import loops
from rsparse.core.engines.cpu.coding import sparse_code
from rsparse.core.omp import BLOCK, gram_matrix, in_threads, omp
from rsparse.core.patches import positions
from rsparse.report.markdown_tables import table_text
from rsparse.store.images import Pixels, to_unit

PATCHES, SCIKIT_PATCHES = 20_000, 2_000
CASES = ((True, 256, 2), (True, 256, 5), (True, 256, 10), (True, 512, 5), (False, 256, 5))
STRIDES = {1: 160, 2: 45, 4: 20}  # CPU ms wanted of an image on a core of REFERENCE
REFERENCE = 158e9
FIRST_CALL = """
import time, numpy as np
atoms = np.linalg.qr(np.random.default_rng(0).standard_normal((192, 192)))[0].astype(np.float32)
start = time.process_time()
from rsparse.core.omp import omp
imported = time.process_time()
omp(atoms[:4], atoms, 2)
print(imported - start, time.process_time() - imported)
"""


def main() -> None:
    options = measure.parser(__doc__).parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    measure.pin()
    images = photographs.photographs(options.shared, 50)
    print(f"The patches and the dictionaries come from {photographs.source(options.shared)}.\n")
    pursuit(images, options.work)
    whole_images(images[0], photographs.learned(images, 256))
    first_call()
    if len(cores) > 1:
        os.sched_setaffinity(0, cores)
        two_threads(images)
    else:
        print("Two threads were not measured, because there is only one core.\n")


def pursuit(images: list[Pixels], work: Path) -> None:
    rows, targets = [], []
    kernels = "SPAMS could not be installed."
    for color, k, sparsity in CASES:
        name = f"{'colour' if color else 'grey'} 8×8, k={k}, K={sparsity}"
        atoms = photographs.learned(images, k, color=color).atoms
        signals = photographs.patches(images, PATCHES, color=color, seed=1)
        m = atoms.shape[1]
        spams = peers.spams_worker(work, signals=signals, dictionary=atoms)
        each = {key: 1e6 * value for key, value in _times(signals, atoms, sparsity, spams).items()}
        ours = each["ours"]
        floor = each["peak"] * (2 * m * k + k * sparsity * (sparsity - 1))
        if spams is not None:
            spams[0].close()
            kernels = f"SPAMS 2.6.14 uses the OpenBLAS kernels that suit it best ({spams[1]})."
        beside = f"{each['spams'] / ours:.1f}×" if "spams" in each else "–"
        rows.append([
            name, f"{ours:.2f}", f"{ours / floor:.1f}×", f"{each['gemm'] / floor:.1f}×",
            f"{each['numpy'] / ours:.1f}×", beside, f"{each['scikit'] / ours:.0f}×",
            f"{each['scikit'] / floor:.0f}×",
        ])  # fmt: skip
        beaten, reach = each["scikit"] / ours, each["scikit"] / floor
        note = "" if reach >= 50 else f" (the floor itself would be {reach:.0f})"
        targets.append(measure.target(f"scikit-learn / ours, {name}{note}", beaten, 50,
                                      at_least=True, digits=0))  # fmt: skip
        if "spams" in each:
            targets.append(measure.target(f"SPAMS / ours, {name}", each["spams"] / ours,
                                          2 if sparsity <= 5 else 1.5, at_least=True))  # fmt: skip
        limit = 2 if color and sparsity <= 5 else 3.5
        targets.append(measure.target(f"ours / floor, {name}", ours / floor, limit, at_least=False))
    print("### The pursuit\n")
    columns = ["patches", "ours, CPU-µs a patch", "ours / floor", "correlations alone / floor",
               "NumPy engine / ours", "SPAMS / ours", "scikit-learn / ours",
               "scikit-learn / floor"]  # fmt: skip
    print(table_text(columns, rows))
    print(
        "All of them compute in float32. scikit-learn's function is `orthogonal_mp_gram`, timed "
        f"together with the product with the dictionary on {SCIKIT_PATCHES:,} of the {PATCHES:,} "
        f"patches. {kernels} The `omp` of SPAMS follows another greedy rule (order-recursive) of "
        "the same cost.\n"
    )
    print("\n".join(targets), "\n")


def _times(
    signals: np.ndarray, atoms: np.ndarray, sparsity: int, spams: tuple[peers.Worker, str] | None
) -> dict[str, float]:
    """CPU seconds a patch; ``peak``: an operation."""
    gram, encoder = gram_matrix(atoms), np.ascontiguousarray(atoms.T)
    some, peak = signals[:SCIKIT_PATCHES], measure.Peak()

    def gemm() -> None:
        for start in range(0, len(signals), BLOCK):
            signals[start : start + BLOCK] @ encoder

    def in_numpy() -> None:
        with peers.inner_loops(loops.NUMPY):
            omp(signals, atoms, sparsity, gram)

    timed = {
        "peak": peak,
        "ours": measure.cpu(lambda: omp(signals, atoms, sparsity, gram)),
        "gemm": measure.cpu(gemm),
        "numpy": measure.cpu(in_numpy),
        "scikit": measure.cpu(lambda: peers.scikit_codes(some @ encoder, gram, sparsity)),
    }
    if spams is not None:
        timed["spams"] = partial(spams[0], "spams_omp", sparsity=sparsity)
    seconds = measure.interleaved(timed)
    counts = {"scikit": len(some), "peak": peak.operations}
    return {name: value / counts.get(name, len(signals)) for name, value in seconds.items()}


def whole_images(image: Pixels, dictionary: Dictionary) -> None:
    x, rows, targets = to_unit(image), [], []
    k, m = dictionary.atoms.shape
    peak = measure.Peak()
    for stride, wanted in STRIDES.items():
        code = measure.cpu(partial(sparse_code, x, dictionary, 5, stride))

        def with_scikit(code: Callable[[], float] = code) -> float:
            with peers.scikit_engine():
                return code()

        seconds = measure.interleaved({"peak": peak, "ours": code}, rounds=11)
        theirs = measure.interleaved({"ours": code, "scikit": with_scikit}, rounds=2)
        n = len(positions(image.shape[:2], dictionary.patch_size, stride))
        speed = peak.operations / seconds["peak"]
        floor, ours = n * (2 * m * k + 5 * 4 * k) / speed, seconds["ours"]
        rows.append([str(stride), f"{n:,}", f"{1000 * ours:.0f}", f"{ours / floor:.1f}×",
                     f"{theirs['scikit'] / theirs['ours']:.0f}×"])  # fmt: skip
        targets.append(measure.target(
            f"CPU ms at stride {stride}, scaled from {speed / 1e9:.0f} to 158 GFLOP/s",
            1000 * ours * speed / REFERENCE, wanted, at_least=False, digits=0,
        ))  # fmt: skip
    print(
        "### A whole image\n\nA photograph of 299×299 in colour patches of 8×8, k=256, K=5. The "
        "time covers the patches, the z-score, the pursuit and the average of overlapping patches. "
        "The last column is the same pipeline with scikit-learn's OMP.\n"
    )
    columns = ["stride", "patches", "CPU ms", "ours / floor", "with scikit-learn / ours"]
    print(table_text(columns, rows))
    print("\n".join(targets), "\n")


def first_call() -> None:
    """Import and first call in a fresh process, the machine code on disk already."""
    printed = [
        subprocess.run([sys.executable, "-c", FIRST_CALL], capture_output=True, text=True,
                       check=True).stdout.split()
        for _ in range(6)
    ]  # fmt: skip
    imported, called = np.median(np.array(printed[1:], dtype=float), axis=0)
    print(
        "In a new process, with the compiled code on disk, importing numba and the code takes "
        f"{imported:.2f} CPU-s; the first call takes {called:.2f} CPU-s.\n"
    )


def two_threads(images: list[Pixels]) -> None:
    atoms = photographs.learned(images, 256).atoms
    signals = photographs.patches(images, 100_000, color=True, seed=2)
    gram, peak = gram_matrix(atoms), [measure.Peak(), measure.Peak()]

    def code(threads: int) -> None:
        omp(signals, atoms, 5, gram, threads=threads)

    def multiply(threads: int) -> None:
        for _ in in_threads(lambda number: peak[number % 2](), range(10), threads):
            pass

    seconds: dict[str, list[float]] = {}
    for _, (work, threads) in product(range(15), product((code, multiply), (1, 2))):
        start = time.perf_counter()
        work(threads)
        seconds.setdefault(f"{work.__name__} {threads}", []).append(time.perf_counter() - start)
    best = {name: min(values) for name, values in seconds.items()}
    given = best["multiply 1"] / best["multiply 2"]
    print(
        "### Two threads\n\nWall time of 100,000 colour patches, k=256, K=5: the best of 15 "
        "rounds, because other work on the machine slows threads down. In the same rounds, two "
        "threads that multiply large matrices, and share nothing, were "
        f"{given:.2f} times as fast as one.\n"
    )
    print(measure.target("one thread / two threads", best["code 1"] / best["code 2"], 1.8,
                         at_least=True), "\n")  # fmt: skip


if __name__ == "__main__":
    main()
