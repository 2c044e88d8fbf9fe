"""Learn the atoms of the denoiser ``omp`` from clean patches that are not flat.

``unrolled_coder.py`` stores them with its weights.
"""

from __future__ import annotations

import numpy as np

from rsparse.core.cosines import cosines
from rsparse.core.dictionary import CentredAtoms
from rsparse.core.online import OmpLearner, unit
from rsparse.core.unrolled import PATCH_SIZE as PATCH

SEED = 0
N_ATOMS = 256
FLAT, SPARSITY = 0.3, 8  # of the patches that are learned from


def learned_atoms(images: np.ndarray) -> np.ndarray:
    """Learn atoms (N_ATOMS, 3·b·b) from photographs (n, h, w, 3), uint8."""
    rng, patches = np.random.default_rng(SEED), []
    for image in images:
        for top, left in rng.integers(image.shape[0] - PATCH + 1, size=(160, 2)):
            patches.append(image[top : top + PATCH, left : left + PATCH].reshape(-1, 3))
    signals = np.array(patches, np.float32) / 255
    signals = (signals - signals.mean(axis=1, keepdims=True)).reshape(len(signals), -1)
    signals = signals[np.linalg.norm(signals, axis=1) > FLAT]
    atoms = CentredAtoms.of(cosines(PATCH, 3, 3 * PATCH * PATCH), PATCH).atoms
    more = unit(signals[rng.choice(len(signals), N_ATOMS - len(atoms), replace=False)])
    learner = OmpLearner(np.concatenate([atoms, more]), SPARSITY)
    for _ in range(3):
        rng.shuffle(signals)
        for start in range(0, len(signals), 4096):
            learner.partial_fit(signals[start : start + 4096])
    return learner.atoms.astype(np.float16)
