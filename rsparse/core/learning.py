"""Robust global dictionary learning (Section IV-B).

Online dictionary learning (Mairal et al. 2009, the paper's [26]), fed patches of one image after
another, so that memory does not grow with the number of images. What is added here is what keeps
a dictionary useful for OMP: dead and near-duplicate atoms are replaced.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.core.cosines import cosines
from rsparse.core.dictionary import Dictionary
from rsparse.core.filters import non_local_means
from rsparse.core.omp import omp, reconstruct
from rsparse.core.online import FixedAtoms, LassoLearner, OmpLearner, OnlineLearner, unit
from rsparse.core.patches import take, z_score
from rsparse.errors import InputError
from rsparse.options.learn_dict import LearnParameters

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

HELD_OUT_SPARSITY = (1, 2, 4, 8)
_POOL = 8192  # patches of several images that are shuffled together before learning from them
_MAX_HELD_OUT = 50_000
_CLEANING_ROUNDS = 5
_FLAT = 1e-3  # norm of a patch in which nothing is to be seen


def take_patches(image: Pixels, parameters: LearnParameters, rng: np.random.Generator) -> Pixels:
    """Random patches of the smoothed image, eq. (14), before their normalization.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
    parameters : LearnParameters
    rng : numpy Generator
        Chooses the places.

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
    if parameters.smoothing:
        image = non_local_means(
            image,
            parameters.smoothing_h,
            parameters.smoothing_template,
            parameters.smoothing_search,
        )
    if not parameters.color:
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)[:, :, None]
    n = parameters.patches_per_image
    corners = np.stack([rng.integers(height - b + 1, size=n), rng.integers(width - b + 1, size=n)])
    return take(image, corners.T, b)


def standardized(patches: Pixels, parameters: LearnParameters) -> Floats:
    """Rows P_k of the benign patch dataset: the patches of one image z-scored, eq. (17).

    Parameters
    ----------
    patches : uint8 array of shape (n, b·b·c)
    parameters : LearnParameters
        ``normalize`` off leaves them in [0, 1].

    Returns
    -------
    float32 array of shape (n, b·b·c)
    """
    unit = patches.astype(np.float32) / np.float32(255)
    return z_score(unit) if parameters.normalize else unit


class DictionaryLearner:
    """Learns a dictionary from the patches of one image after another.

    ``partial_fit`` takes the patches of an image, ``finish`` cleans and returns the dictionary.
    Equal patches in equal order and an equal seed give equal bytes, on any number of threads.
    """

    def __init__(self, parameters: LearnParameters, threads: int = 1) -> None:
        self.parameters = parameters
        self._threads = threads
        self._rng = np.random.default_rng(parameters.seed)
        self._pool: list[Floats] = []
        self._pooled = 0
        self._recent: Floats | None = None  # the last patches, as many as a pool holds
        self._held_out: list[Floats] = []
        self._n_held_out = 0
        self._n_pools = 0
        self._learner: OnlineLearner | None = None

    def partial_fit(self, patches: Floats, *, hold_out: bool = True) -> None:
        """Learn from the patches (n, b·b·c) of one image.

        With ``hold_out`` a share of them is kept aside to measure the error; a later pass over
        the same images draws new patches and keeps none.
        """
        share = round(len(patches) * self.parameters.held_out) if hold_out else 0
        share = min(share, _MAX_HELD_OUT - self._n_held_out)
        if share:
            self._held_out.append(patches[:share].copy())  # a view would keep all the patches
            self._n_held_out += share
        self._pool.append(patches[share:])
        self._pooled += len(patches) - share
        if self._pooled >= max(_POOL, self.parameters.n_atoms):
            self._learn_pool()

    def finish(self) -> tuple[Dictionary, dict[int, float]]:
        """The dictionary, and its relative squared error on held-out patches by sparsity K.

        Raises
        ------
        InputError
            If there are too few patches for so many atoms.
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
                self._pool, self._pooled = [usable], len(usable)  # wait for images less flat
                return
            self._learner = self._start(_first_atoms(usable, self.parameters.n_atoms, self._rng))
        self._pool, self._pooled = [], 0
        if self._recent is None or len(pool) >= _POOL:
            self._recent = pool
        else:  # the last pool may be of one image only: too few patches to judge atoms by
            self._recent = np.concatenate([self._recent, pool])[-_POOL:]
        self._step(self._learner, pool)
        self._n_pools += 1
        if self._n_pools & (self._n_pools - 1) == 0:  # 1, 2, 4, … : ever rarer, as it forgets
            self._clean(self._learner, self._recent)

    def _start(self, atoms: Floats) -> OnlineLearner:
        p = self.parameters
        if not p.training:
            return FixedAtoms(cosines(p.patch_size, 3 if p.color else 1, p.n_atoms))
        if p.coder == "omp":
            return OmpLearner(atoms, p.atoms_per_patch, self._threads)
        return LassoLearner(atoms, p.penalty, p.coder, int(self._rng.integers(2**31)))

    def _step(self, learner: OnlineLearner, pool: Floats) -> None:
        """Go over a pool once, in mini-batches."""
        for start in range(0, len(pool), self.parameters.batch_size):
            learner.partial_fit(pool[start : start + self.parameters.batch_size])

    def _clean(self, learner: OnlineLearner, pool: Floats) -> None:
        """Replace dead and near-duplicate atoms by badly represented patches."""
        if not self.parameters.training:
            return
        pool = pool[np.linalg.norm(pool, axis=1) > _FLAT]
        limit = self.parameters.max_coherence
        for _ in range(_CLEANING_ROUNDS if len(pool) else 0):
            bad = _bad_atoms(learner.atoms, pool, limit)
            if not bad.any():
                return
            learner.replace(*_replacements(learner.atoms, bad, pool, limit, self._rng))

    def _errors(self, dictionary: Dictionary) -> dict[int, float]:
        if not self._held_out:
            return {}
        patches = np.concatenate(self._held_out)
        blocks = [patches[start : start + _POOL] for start in range(0, len(patches), _POOL)]
        energy = sum(_energy(block) for block in blocks)
        errors = {}
        for sparsity in HELD_OUT_SPARSITY:
            left = sum(_energy(_rest(block, dictionary, sparsity)) for block in blocks)
            errors[sparsity] = left / max(energy, 1e-12)
        return errors


def _energy(patches: Floats) -> float:
    return float(np.square(patches, dtype=np.float64).sum())


def _rest(patches: Floats, dictionary: Dictionary, sparsity: int) -> Floats:
    """What codes of K atoms leave of patches."""
    codes = omp(patches, dictionary.atoms, sparsity, dictionary.gram)
    return patches - reconstruct(*codes, dictionary.atoms)


def learn_dictionary(
    images: Iterable[Pixels], parameters: LearnParameters | None = None
) -> Dictionary:
    """Learn a global dictionary from benign images.

    Parameters
    ----------
    images : iterable of uint8 arrays of shape (h, w, 3), RGB
        Sizes may differ; it is gone through once, or ``passes`` times if it can be.
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
    for turn in range(parameters.passes):
        for number, image in enumerate(images):
            rng = patch_rng(parameters.seed, turn, number)
            patches = standardized(take_patches(image, parameters, rng), parameters)
            learner.partial_fit(patches, hold_out=turn == 0)
    return learner.finish()[0]


def patch_rng(seed: int, turn: int, number: int) -> np.random.Generator:
    """The generator that places patches in image ``number`` on pass ``turn``."""
    return np.random.default_rng([seed, turn, number])


def _distinct(pool: Floats) -> Floats:
    """The patches of a pool that can be atoms: not flat, each once."""
    return np.unique(pool[np.linalg.norm(pool, axis=1) > _FLAT], axis=0)


def _first_atoms(usable: Floats, n_atoms: int, rng: np.random.Generator) -> Floats:
    """Patches as the first atoms."""
    if len(usable) < n_atoms:
        raise InputError(
            f"only {len(usable)} usable patches for {n_atoms} atoms; "
            "give more images or patches per image, or ask for fewer atoms"
        )
    return unit(usable[rng.choice(len(usable), n_atoms, replace=False)])


def _bad_atoms(atoms: Floats, pool: Floats, max_coherence: float) -> NDArray[np.bool_]:
    """Atoms that no patch of the pool uses, and the later one of each near-duplicate pair."""
    chosen, coefficients = omp(pool, atoms, 2)
    used = np.zeros(len(atoms), dtype=bool)
    used[chosen[coefficients != 0]] = True
    alike = np.abs(np.triu(atoms @ atoms.T, k=1)) > max_coherence
    return np.asarray(~used | alike.any(axis=0))


def _replacements(
    atoms: Floats,
    bad: NDArray[np.bool_],
    pool: Floats,
    max_coherence: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.intp], Floats]:
    """Places of bad atoms, and for each a patch that the good ones represent badly.

    A patch too like another atom replaces none; where patches run out, the rest of the bad atoms
    stay.
    """
    kept, places = atoms[~bad], np.flatnonzero(bad)
    rest = pool - reconstruct(*omp(pool, kept, 2), kept)
    order = np.argsort(np.linalg.norm(rest, axis=1))[::-1]
    order[: 4 * len(places)] = rng.permutation(order[: 4 * len(places)])
    candidates = unit(pool[order])
    free = ~(np.abs(candidates @ kept.T) > max_coherence).any(axis=1)
    taken: list[int] = []
    while free.any() and len(taken) < len(places):
        taken.append(int(free.argmax()))
        free &= np.abs(candidates @ candidates[taken[-1]]) <= max_coherence
        free[taken[-1]] = False
    return places[: len(taken)], candidates[taken]
