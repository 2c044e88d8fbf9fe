"""CPU time of sparse coding a 299×299 photograph, beside scikit-learn's OMP on the same patches.

    python benchmarks/coder.py

One thread, the photographs that come along, colour patches of 8×8, 256 random atoms; medians of
interleaved runs. Prints a Markdown table: CPU milliseconds of our whole image (patches, z-score,
OMP, overlap) and of our OMP alone, and how many times scikit-learn's OMP takes of the latter.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable

import cv2
import numpy as np
from sklearn.linear_model import orthogonal_mp_gram

from rsparse.core.coding import sparse_code
from rsparse.core.dictionary import Dictionary
from rsparse.core.omp import omp
from rsparse.core.patches import positions, take, z_score
from rsparse.data import demo_photos
from rsparse.images import decode_image, find_images, to_unit
from rsparse.parallel import one_thread

SIDE, PATCH, ATOMS, RUNS, SAMPLE = 299, 8, 256, 5, 2000
CASES = ((2, 1), (2, 2), (2, 5), (4, 5), (1, 5))


def main() -> None:
    photo = find_images([demo_photos("test")])[0]
    pixels = decode_image(photo.read(), photo.path)
    x = to_unit(np.asarray(cv2.resize(pixels, (SIDE, SIDE)), dtype=np.uint8))
    atoms = np.random.default_rng(0).standard_normal((ATOMS, PATCH * PATCH * 3))
    atoms = (atoms / np.linalg.norm(atoms, axis=1, keepdims=True)).astype(np.float32)
    dictionary = Dictionary(atoms, PATCH)
    print("| stride | K | patches | image, ms | OMP, ms | scikit-learn / ours |")
    print("|---|---|---|---|---|---|")
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for stride, sparsity in CASES:
            _print_case(x, dictionary, stride, sparsity)


def _print_case(x: np.ndarray, dictionary: Dictionary, stride: int, sparsity: int) -> None:
    patches = z_score(take(x, positions((SIDE, SIDE), PATCH, stride), PATCH))
    some = patches[np.random.default_rng(1).permutation(len(patches))[:SAMPLE]]
    gram, atoms = dictionary.gram, dictionary.atoms
    image, alone, theirs = [], [], []
    for _ in range(RUNS):
        image.append(_cpu(lambda: sparse_code(x, dictionary, sparsity, stride)))
        alone.append(_cpu(lambda: omp(patches, atoms, sparsity, gram)))
        sample = _cpu(lambda: orthogonal_mp_gram(gram, atoms @ some.T, n_nonzero_coefs=sparsity))
        theirs.append(sample * len(patches) / len(some))
    ratio = statistics.median(b / a for a, b in zip(alone, theirs, strict=True))
    print(
        f"| {stride} | {sparsity} | {len(patches)} | {1000 * statistics.median(image):.0f} "
        f"| {1000 * statistics.median(alone):.0f} | {ratio:.0f} |"
    )


def _cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
