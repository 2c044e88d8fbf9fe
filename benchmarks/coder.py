"""The public coder compared with scikit-learn, SPAMS and orthogonal-matching-pursuit-gpu.

    python benchmarks/coder.py [--work bench-work] [--full]

It prints the table of docs/coder.md; with `--write` it is put there. CPU times of one thread on one
core, medians of interleaved runs. Three of the cases are those of
orthogonal-matching-pursuit-gpu's own benchmark; `--full` codes all of their signals. Each row is
kept in the work folder, so that an interrupted run continues; `--rows N` stops after N new ones.
"""

from __future__ import annotations

import json
import warnings
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import measure
import numpy as np
import peers

import rsparse
from rsparse.report.markdown_tables import table_text

PAGE = Path(__file__).parents[1] / "docs" / "coder.md"
MARK = "<!-- measured: coder -->\n"


class Case(NamedTuple):
    """Signals (n, m), atoms (k, m), K, and how many signals a quick run codes."""

    name: str
    m: int
    k: int
    sparsity: int
    n: int
    some: int


CASES = (
    Case("colour patches", 192, 256, 5, 20_000, 4_000),
    Case("grey patches", 64, 256, 5, 20_000, 4_000),
    Case("K = m", 64, 256, 64, 2_000, 500),
    Case("image patches", 256, 1024, 32, 5_000, 400),
    Case("face recognition", 8064, 1207, 30, 1_207, 200),
    Case("audio", 512, 2048, 64, 5_000, 200),
)
OWN = "Image patches, face recognition and audio"
ROUNDS = 3


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into docs/coder.md")
    parser.add_argument("--rows", type=int, default=len(CASES) * 2, help="rows to measure now")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    measure.pin()
    kept = options.work / f"coder{'-full' * options.full}.json"
    known = json.loads(kept.read_text()) if kept.exists() else {}
    for case, kind in product(CASES, ("float32", "float64")):
        if f"{case.name} {kind}" not in known and options.rows > 0:
            options.rows -= 1
            known[f"{case.name} {kind}"] = measured(
                case, np.dtype(kind), options.work, options.full
            )
            kept.write_text(json.dumps(known))
    rows = [row for row, _ in known.values()]
    behind = [lag for _, lags in known.values() for lag in lags]
    columns = ["case", "m", "k", "K", "signals", "type", "ours, µs a signal",
               *(f"{name} / ours" for name in PEERS)]  # fmt: skip
    text = table_text(columns, rows) + "\n\n" + explained(behind)
    print(text)
    if options.write:
        start = PAGE.read_text(encoding="utf-8").split(MARK)[0]
        PAGE.write_text(start + MARK + text, encoding="utf-8")


PEERS = ("scikit-learn", "SPAMS", "orthogonal-matching-pursuit-gpu")


def explained(behind: list[str]) -> str:
    where = "It is behind in: " + "; ".join(behind) + "." if behind else "It is ahead in every row."
    return (
        "CPU time of one thread for random signals and atoms, from the arrays to the codes; the "
        f"median of {ROUNDS} interleaved runs. Ratios above 1 mean that rsparse is faster. {where} "
        "rsparse, scikit-learn (`orthogonal_mp_gram` and its products) and "
        "orthogonal-matching-pursuit-gpu 0.1.3 (`run_omp` on the CPU with torch) return dense "
        "codes, SPAMS 2.6.14 sparse ones; its `omp` follows another greedy rule of the same cost. "
        f"{OWN} are the cases of orthogonal-matching-pursuit-gpu's own benchmark, with fewer "
        "signals unless `--full` is given. "
        f"Measured by `benchmarks/coder.py` on {measure.machine()}\n"
    )


def measured(case: Case, kind: np.dtype, work: Path, full: bool) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(0)
    n = case.n if full else case.some
    atoms = rng.standard_normal((case.k, case.m)).astype(kind)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    signals = rng.standard_normal((n, case.m)).astype(kind)

    def scikit() -> None:
        peers.scikit_codes(signals @ atoms.T, atoms @ atoms.T, case.sparsity)

    timed = {
        "ours": measure.cpu(lambda: rsparse.omp(signals, atoms, n_nonzero_coefs=case.sparsity)),
        "scikit-learn": measure.cpu(scikit),
    }
    workers = []
    spams = peers.spams_worker(work, signals=signals, dictionary=atoms)
    if spams is not None:
        workers.append(spams[0])
        timed["SPAMS"] = partial(spams[0], "spams_omp", sparsity=case.sparsity)
    batched = peers.batched_worker(work, signals=signals, dictionary=atoms)
    if batched is not None:
        workers.append(batched)
        timed[PEERS[2]] = partial(batched, "batched_omp", sparsity=case.sparsity)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seconds = measure.interleaved(timed, rounds=ROUNDS)
    for worker in workers:
        worker.close()
    ratios = {name: seconds[name] / seconds["ours"] for name in PEERS if name in seconds}
    row = [
        case.name, f"{case.m:,}", f"{case.k:,}", str(case.sparsity), f"{n:,}", kind.name,
        f"{1e6 * seconds['ours'] / n:.1f}",
        *(f"{ratios[name]:.1f}×" if name in ratios else "–" for name in PEERS),
    ]  # fmt: skip
    lags = [
        f"{case.name} in {kind.name}, compared with {name}"
        for name, ratio in ratios.items()
        if ratio < 1
    ]
    return row, lags


if __name__ == "__main__":
    main()
