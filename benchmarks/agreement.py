"""Compare our codes with those of a textbook OMP: scikit-learn's, in float64.

python benchmarks/agreement.py [--shared ../shared] [--full]
"""

from __future__ import annotations

from dataclasses import dataclass

import measure
import numpy as np
import photographs
from numpy.typing import NDArray
from peers import scikit_codes

from rsparse.core.omp import omp, reconstruct
from rsparse.report.markdown_tables import table_text

SMALL_GRID = ((True, 64, 1), (True, 256, 2), (True, 256, 5), (True, 256, 16), (True, 1024, 5),
              (False, 64, 16), (False, 256, 1), (False, 256, 5), (False, 1024, 10))  # fmt: skip
FULL_GRID = tuple(
    (c, k, s) for c in (True, False) for k in (64, 256, 1024) for s in (1, 2, 5, 10, 16)
)
PATCHES, WANTED, RESIDUAL_WANTED = 100_000, 99.9, 1e-4
_CHUNK = 10_000


@dataclass(frozen=True)
class Agreement:
    """Over ``patches``: the share with the same atoms, and residual norms beside each other."""

    patches: int
    same_support: float
    residual: float  # largest |ours − theirs| / norm of the patch where the supports are the same


def agreement(signals: NDArray[np.float32], atoms: NDArray[np.float32], sparsity: int) -> Agreement:
    """Compare ``omp`` with scikit-learn's ``orthogonal_mp_gram`` in float64."""
    exact = atoms.astype(np.float64)
    same, worst = 0, 0.0
    for start in range(0, len(signals), _CHUNK):
        chunk = signals[start : start + _CHUNK]
        chosen, weights = omp(chunk, atoms, sparsity)
        theirs = scikit_codes(chunk.astype(np.float64) @ exact.T, exact @ exact.T, sparsity)
        ours = np.zeros(theirs.shape, dtype=bool)
        rows = np.broadcast_to(np.arange(len(chunk))[:, None], chosen.shape)
        ours[rows[weights != 0], chosen[weights != 0]] = True
        equal = (ours == (theirs != 0)).all(axis=1)
        same += int(equal.sum())
        norms = np.maximum(np.linalg.norm(chunk, axis=1), 1e-6)
        left = np.linalg.norm(chunk - reconstruct(chosen, weights, atoms), axis=1)
        gap = np.abs(left - np.linalg.norm(chunk - theirs @ exact, axis=1)) / norms
        worst = max(worst, float(gap[equal].max(initial=0)))
    return Agreement(len(signals), same / len(signals), worst)


def main() -> None:
    options = measure.parser(__doc__).parse_args()
    measure.pin()
    images = photographs.photographs(options.shared, 50)
    rows, shares, residuals = [], [], []
    for color, k, sparsity in FULL_GRID if options.full else SMALL_GRID:
        atoms = photographs.learned(images, k, color=color).atoms
        signals = photographs.patches(images, PATCHES, color=color, seed=3)
        found = agreement(signals, atoms, sparsity)
        shares.append(100 * found.same_support)
        residuals.append(found.residual)
        rows.append([
            "colour" if color else "grey", str(k), str(sparsity), f"{shares[-1]:.3f}",
            f"{found.residual:.0e}",
        ])  # fmt: skip
    print(
        f"The share of {PATCHES:,} patches of photographs for which the pursuit chooses the same "
        "atoms as scikit-learn in float64. For these patches, the last column gives the largest "
        "difference between the norms of the residuals, relative to the norm of the patch.\n"
    )
    print(table_text(["patches", "k", "K", "same atoms, %", "residual"], rows))
    print(measure.target("same atoms, the least share in %", min(shares), WANTED, at_least=True,
                         digits=3))  # fmt: skip
    print(measure.target("residuals' norms, the largest difference", max(residuals),
                         RESIDUAL_WANTED, at_least=False, digits=7))  # fmt: skip


if __name__ == "__main__":
    main()
