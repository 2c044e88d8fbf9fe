"""Learn a robust global dictionary (Section IV-B).

Online dictionary learning (Mairal et al. 2009, the paper's [26]) receives patches of one image
after another, so memory does not grow with the number of images. To keep the dictionary useful
for OMP, dead and near-duplicate atoms are replaced, unless ``replace_atoms`` is off.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.core.atoms import clean_atoms
from rsparse.core.cosines import cosines
from rsparse.core.dictionary import Dictionary
from rsparse.core.non_local import non_local_means, non_local_patches
from rsparse.core.omp import omp, reconstruct
from rsparse.core.online import FixedAtoms, LassoLearner, OmpLearner, OnlineLearner, unit
from rsparse.core.patches import take, z_score
from rsparse.errors import InputError
from rsparse.options.learn_dict import LearnParameters

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

HELD_OUT_SPARSITY = (1, 2, 4, 8)
_POOL = 8192  # number of patches, from several images, that are shuffled before learning
_MAX_HELD_OUT = 50_000
_FLAT = 1e-3  # patches of at most this norm are considered flat


def take_patches(image: Pixels, parameters: LearnParameters, rng: np.random.Generator) -> Pixels:
    """Take random patches of the smoothed image, eq. (14), before normalization.

    Only the pixels of these patches are smoothed, except by OpenCV.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
    parameters : LearnParameters
    rng : numpy Generator
        Chooses the positions.

    Returns
    -------
    uint8 array of shape (patches_per_image, b·b·c)

    Raises
    ------
    InputError
        If the image is smaller than a patch.
    """
    height, width = image.shape[:2]
    b = parameters.patch_size
    if min(height, width) < b:
        raise InputError(f"is {width}×{height} pixels, smaller than a patch of {b}×{b}")
    if not parameters.color:
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)[:, :, None]
    n = parameters.patches_per_image
    rows, columns = rng.integers(height - b + 1, size=n), rng.integers(width - b + 1, size=n)
    corners = np.stack([rows, columns], axis=1)
    if not parameters.smoothing:
        return take(image, corners, b)
    how = (
        parameters.smoothing_h,
        parameters.smoothing_patch,
        parameters.smoothing_window,
        parameters.smoothing_weights,
    )
    if parameters.smoothing_weights == "opencv":
        return take(non_local_means(image, *how), corners, b)
    return non_local_patches(image, corners, b, *how)


def standardized(patches: Pixels, parameters: LearnParameters) -> Floats:
    """Z-score the patches of one image, eq. (17), as rows P_k of the benign patch dataset.

    Parameters
    ----------
    patches : uint8 array of shape (n, b·b·c)
    parameters : LearnParameters
        Without ``normalize``, patches stay in [0, 1].

    Returns
    -------
    float32 array of shape (n, b·b·c)
    """
    unit = patches.astype(np.float32) / np.float32(255)
    return z_score(unit) if parameters.normalize else unit


class DictionaryLearner:
    """Learns a dictionary from the patches of one image after another.

    ``partial_fit`` takes the patches of an image; ``finish`` cleans and returns the dictionary.
    The same patches in the same order with the same seed give the same bytes, for any number of
    threads.
    """

    def __init__(self, parameters: LearnParameters, threads: int = 1) -> None:
        self.parameters = parameters
        self._threads = threads
        self._rng = np.random.default_rng(parameters.seed)
        self._pool: list[Floats] = []
        self._pooled = 0
        self._recent: Floats | None = None  # the latest patches, about one pool
        self._held_out: list[Floats] = []
        self._n_held_out = 0
        self._n_pools = 0
        self._learner: OnlineLearner | None = None

    def partial_fit(self, patches: Floats, *, hold_out: bool = True) -> None:
        """Learn from the patches (n, b·b·c) of one image.

        With ``hold_out``, a share of them is set aside to measure the error. Later passes over the
        same images draw new patches and set none aside.
        """
        share = round(len(patches) * self.parameters.held_out_share) if hold_out else 0
        share = min(share, _MAX_HELD_OUT - self._n_held_out)
        if share:
            self._held_out.append(patches[:share].copy())  # a view would keep all patches alive
            self._n_held_out += share
        self._pool.append(patches[share:])
        self._pooled += len(patches) - share
        if self._pooled >= max(_POOL, self.parameters.n_atoms):
            self._learn_pool()

    def finish(self) -> tuple[Dictionary, dict[int, float]]:
        """Return the dictionary, and its relative squared error on held-out patches by sparsity K.

        Raises
        ------
        InputError
            If there are too few patches for the number of atoms.
        """
        if self._pooled or self._recent is None:
            self._learn_pool(last=True)
        assert self._learner is not None
        assert self._recent is not None
        self._step(self._learner, self._recent)
        self._clean(self._learner, self._recent)
        p = self.parameters
        dictionary = Dictionary(self._learner.atoms, p.patch_size, p.color, p.normalize)
        return dictionary, self._errors(dictionary)

    def _learn_pool(self, *, last: bool = False) -> None:
        pool = np.concatenate(self._pool or [np.zeros((0, 1), np.float32)])
        pool = pool[self._rng.permutation(len(pool))]
        if self._learner is None:
            usable = _distinct(pool)
            if len(usable) < self.parameters.n_atoms and not last:
                self._pool, self._pooled = [usable], len(usable)  # wait for less flat images
                return
            self._learner = self._start(_first_atoms(usable, self.parameters.n_atoms, self._rng))
        self._pool, self._pooled = [], 0
        if self._recent is None or len(pool) >= _POOL:
            self._recent = pool
        else:  # the last pool may come from one image: too few patches to assess atoms
            self._recent = np.concatenate([self._recent, pool])[-_POOL:]
        self._step(self._learner, pool)
        self._n_pools += 1
        if self._n_pools & (self._n_pools - 1) == 0:  # 1, 2, 4, …: rarer and rarer
            self._clean(self._learner, self._recent)

    def _start(self, atoms: Floats) -> OnlineLearner:
        p = self.parameters
        if not p.learned:
            return FixedAtoms(cosines(p.patch_size, 3 if p.color else 1, p.n_atoms))
        if p.coder == "omp":
            return OmpLearner(atoms, p.atoms_per_patch, self._threads)
        return LassoLearner(atoms, p.l1_penalty, p.coder, int(self._rng.integers(2**31)))

    def _step(self, learner: OnlineLearner, pool: Floats) -> None:
        """Learn from a pool once, in mini-batches."""
        for start in range(0, len(pool), self.parameters.batch_size):
            learner.partial_fit(pool[start : start + self.parameters.batch_size])

    def _clean(self, learner: OnlineLearner, pool: Floats) -> None:
        """Replace dead and near-duplicate atoms by poorly represented patches."""
        if not (self.parameters.learned and self.parameters.replace_atoms):
            return
        pool = pool[np.linalg.norm(pool, axis=1) > _FLAT]
        clean_atoms(learner, pool, self.parameters.max_coherence, self._rng)

    def _errors(self, dictionary: Dictionary) -> dict[int, float]:
        if not self._held_out:
            return {}
        patches = np.concatenate(self._held_out)
        blocks = [patches[start : start + _POOL] for start in range(0, len(patches), _POOL)]
        energy = sum(_energy(block) for block in blocks)
        errors = {}
        for sparsity in HELD_OUT_SPARSITY:
            residual = sum(_energy(_residual(block, dictionary, sparsity)) for block in blocks)
            errors[sparsity] = residual / max(energy, 1e-12)
        return errors


def _energy(patches: Floats) -> float:
    return float(np.square(patches, dtype=np.float64).sum())


def _residual(patches: Floats, dictionary: Dictionary, sparsity: int) -> Floats:
    """The residual of patches after coding with K atoms."""
    codes = omp(patches, dictionary.atoms, sparsity, dictionary.gram)
    return patches - reconstruct(*codes, dictionary.atoms)


def learn_dictionary(
    images: Iterable[Pixels], parameters: LearnParameters | None = None
) -> Dictionary:
    """Learn a global dictionary from benign images.

    Parameters
    ----------
    images : iterable of uint8 arrays of shape (h, w, 3), RGB
        Sizes may differ. It is iterated ``passes`` times.
    parameters : LearnParameters, optional

    Returns
    -------
    Dictionary

    Raises
    ------
    InputError
        If an image is smaller than a patch, or there are fewer patches than atoms.
    """
    parameters = parameters or LearnParameters()
    learner = DictionaryLearner(parameters)
    for pass_number in range(parameters.passes):
        for number, image in enumerate(images):
            rng = patch_rng(parameters.seed, pass_number, number)
            patches = standardized(take_patches(image, parameters, rng), parameters)
            learner.partial_fit(patches, hold_out=pass_number == 0)
    return learner.finish()[0]


def patch_rng(seed: int, pass_number: int, number: int) -> np.random.Generator:
    """The generator that chooses patch positions in image ``number`` on a pass, both from 0."""
    return np.random.default_rng([seed, pass_number, number])


def _distinct(pool: Floats) -> Floats:
    """The patches of a pool that can become atoms: not flat, without duplicates."""
    return np.unique(pool[np.linalg.norm(pool, axis=1) > _FLAT], axis=0)


def _first_atoms(usable: Floats, n_atoms: int, rng: np.random.Generator) -> Floats:
    """Choose patches as the initial atoms."""
    if len(usable) < n_atoms:
        raise InputError(
            f"only {len(usable)} usable patches for {n_atoms} atoms; "
            "use more images, more patches per image, or fewer atoms"
        )
    return unit(usable[rng.choice(len(usable), n_atoms, replace=False)])
