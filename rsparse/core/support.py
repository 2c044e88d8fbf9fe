"""Whether a perturbation moves the atoms that sparse coding chooses (the paper's eq. 8–13).

The paper assumes that an attack ``e`` does not move the support S_K(x) of a patch (eq. 9), and that
‖Ψᵀe‖ < ‖e‖ (after eq. 13). ``compare`` measures both. ``patch_radii`` computes, for each patch, the
largest ball in which the pursuit chooses the same atoms in the same order; ``image_radius`` turns
them into a radius for the whole image. Everything is computed for standardised patches (eq. 17).

The nearest neighbour is robust width (Peck, Goossens 2024), which bounds the distance of the
recovered image instead, for nearly sparse images and a random sensing operator.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsparse.core.dictionary import Dictionary
from rsparse.core.engines.cpu.coding import sparse_code
from rsparse.core.engines.cpu.loops import fastest
from rsparse.core.patches import patch_statistics, positions, take

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Indices = NDArray[np.int32]

_BLOCK = 512  # patches whose correlations are held together
_SAME = 1e-9  # below it, a difference of atoms lies in the span of the chosen ones


class Coding(NamedTuple):
    """The standardised patches of an image (or of one channel) and their codes.

    Attributes
    ----------
    patches : float64 array of shape (n, m)
    atoms : int32 array of shape (n, K)
        The chosen atoms in the order of the choice; −1 where a patch has fewer.
    deviation : float64 array of shape (m,)
        The standard deviation of each dimension, by which it was divided; 1 without z-score.
    """

    patches: Doubles
    atoms: Indices
    deviation: Doubles


class Comparison(NamedTuple):
    """What a perturbation does to an image's codes.

    Attributes
    ----------
    patches : int
        Number of patches.
    moved : float
        Share of the patches whose set of atoms is another one.
    common : float
        Mean share of a benign patch's atoms that the attacked patch has, too.
    analysis : float
        ‖Ψᵀe‖ / ‖e‖ with all atoms, over all patches together.
    chosen : float
        ‖Ψᵀe‖ / ‖e‖ with the atoms chosen for the benign patch.
    inside : float
        Share of the energy ‖e‖² that lies in the span of these atoms.
    survives : float
        Norm of the change of the coded image, relative to that of the image.
    radius : float
        See ``image_radius``, for the benign image.
    change : float
        L2 norm of the perturbation, with pixels in [0, 1].
    """

    patches: int
    moved: float
    common: float
    analysis: float
    chosen: float
    inside: float
    survives: float
    radius: float
    change: float


def code_patches(
    x: Floats, dictionary: Dictionary, sparsity: int, stride: int, min_correlation: float = 0.0
) -> list[Coding]:
    """Code all patches of an image as ``sparse_code`` does; one coding for each layer.

    Parameters
    ----------
    x : float32 array of shape (h, w, 3), in [0, 1]
    dictionary : Dictionary
        With grey atoms, each channel is a layer.
    sparsity, stride, min_correlation
        As for ``sparse_code``.
    """
    layers = [x] if dictionary.color else [x[:, :, [channel]] for channel in range(3)]
    return [_code(layer, dictionary, sparsity, stride, min_correlation) for layer in layers]


def _code(
    x: Floats, dictionary: Dictionary, sparsity: int, stride: int, min_correlation: float
) -> Coding:
    b, atoms = dictionary.patch_size, dictionary.atoms
    corners = positions((x.shape[0], x.shape[1]), b, stride)
    patches = take(x, corners, b).astype(np.float64)
    deviation = np.ones(atoms.shape[1])
    if dictionary.normalize:
        center = x.mean(axis=(0, 1))
        mean, spread = patch_statistics(np.ascontiguousarray(x - center), b, stride)
        deviation = spread.astype(np.float64)
        scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 1e-6)
        patches = (patches - (mean + np.tile(center, b * b))) * scale
    steps = min(sparsity, *atoms.shape)
    chosen = np.zeros((len(patches), steps), np.int32)
    weights = np.zeros((len(patches), steps), np.float32)
    for start in range(0, len(patches), _BLOCK):
        some = slice(start, start + _BLOCK)
        correlations = np.ascontiguousarray(patches[some].astype(np.float32) @ atoms.T)
        fastest.pursue(
            correlations,
            dictionary.gram,
            steps,
            np.empty(0, np.float32),
            0.0,
            chosen[some],
            weights[some],
            min_correlation,
        )
    return Coding(patches, np.where(weights == 0, -1, chosen).astype(np.int32), deviation)


def patch_radii(coding: Coding, dictionary: Dictionary, min_correlation: float = 0.0) -> Doubles:
    """The radius of the largest ball around each patch in which its choice of atoms is the same.

    In step j the pursuit chooses the atom a whose correlation with the residual r = Qp is largest,
    where Q removes the span of the atoms chosen before. With s the sign of that correlation, it
    chooses a for all p with (sψ_a ± ψ_b)ᵀ Q p > 0 for every other atom b. The distance of p from
    such a half-space's border is (sψ_a ± ψ_b)ᵀ Q p / ‖Q(sψ_a ± ψ_b)‖; the radius is the smallest
    distance over all steps. It is exact for the order of the atoms, so their set is the same at
    least up to it. With ``min_correlation`` c, the borders |ψ_bᵀQp| = c count as well.

    Parameters
    ----------
    coding : Coding
    dictionary : Dictionary
    min_correlation : float
        As for ``sparse_code``.

    Returns
    -------
    float64 array of shape (n,)
        In the units of standardised patches; 0 where two atoms are equally good up to rounding,
        and for a patch without any content.
    """
    atoms = dictionary.atoms.astype(np.float64)
    parts = [
        _radii(coding.patches[start : start + _BLOCK], coding.atoms[start : start + _BLOCK], atoms,
               min_correlation)
        for start in range(0, len(coding.patches), _BLOCK)
    ]  # fmt: skip
    return np.concatenate(parts)


def _radii(patches: Doubles, chosen: Indices, atoms: Doubles, least: float) -> Doubles:
    """``patch_radii`` of a block."""
    n, steps = chosen.shape
    rows = np.arange(n)
    residual = patches.copy()
    norms = np.ones((n, len(atoms)))  # ‖Qψ_b‖²
    basis = np.zeros((n, steps, atoms.shape[1]))  # orthonormal, of the span of the chosen atoms
    taken = np.zeros((n, len(atoms)), bool)
    radius = np.full(n, np.inf)
    for step in range(steps + 1):
        correlations = residual @ atoms.T
        best = chosen[:, step] if step < steps else np.full(n, -1, np.int32)
        stopped = best < 0
        if least > 0:  # no atom is chosen below it
            edge = np.abs(np.where(taken, np.nan, least - np.abs(correlations)))
            edges = np.nanmin(edge / np.sqrt(np.maximum(norms, _SAME)), axis=1)
            ends = stopped & (chosen[:, step - 1] >= 0 if step else True)
            radius = np.where(ends & (step < steps), np.minimum(radius, edges), radius)
        if step == steps or stopped.all():
            break
        a = np.where(stopped, 0, best)
        projected = atoms[a] - np.einsum(
            "nj,njm->nm", np.einsum("njm,nm->nj", basis[:, :step], atoms[a]), basis[:, :step]
        )  # Qψ_a
        cross, own = projected @ atoms.T, correlations[rows, a]  # ψ_aᵀQψ_b, ψ_aᵀr
        sign, size = np.sign(own), np.abs(own)
        taken[rows, a] |= ~stopped
        nearest = np.full(n, np.inf)
        for side in (1.0, -1.0):
            gap = size[:, None] - side * correlations
            width = norms[rows, a][:, None] + norms - 2 * side * sign[:, None] * cross
            distance = gap / np.sqrt(np.maximum(width, _SAME))
            nearest = np.minimum(nearest, np.where(taken, np.inf, distance).min(axis=1))
        if least > 0:
            nearest = np.minimum(nearest, (size - least) / np.sqrt(norms[rows, a]))
        radius = np.where(stopped, radius, np.minimum(radius, nearest))
        unit = projected / np.sqrt(np.maximum(norms[rows, a], _SAME))[:, None]
        unit[stopped] = 0
        basis[:, step] = unit
        residual = residual - np.einsum("nm,nm->n", unit, residual)[:, None] * unit
        norms = np.maximum(norms - (unit @ atoms.T) ** 2, 0)
    return np.maximum(np.where(np.isfinite(radius), radius, 0), 0)


def image_radius(coding: Coding, radii: Doubles, normalize: bool = True) -> float:
    """The L2 radius around an image inside which no atom of any patch changes.

    A perturbation of norm E also moves the mean and the deviation σ of each dimension, both over n
    patches, by at most E/√n. So it moves a standardised patch z by at most
    E (1 + (√m + ‖z‖)/√n) / (σ − E/√n), with σ the smallest deviation of a dimension; solving for E
    gives a lower bound of the radius for each patch, of which the smallest counts. Rounding and
    clipping of pixels are not part of it, nor is the rounding of the computation.

    Parameters
    ----------
    coding : Coding
    radii : float64 array of shape (n,)
        The result of ``patch_radii``.
    normalize : bool
        Whether patches are standardised; if not, the radius is the smallest of ``radii``.

    Returns
    -------
    float
        With pixels in [0, 1].
    """
    if not normalize:
        return float(radii.min())
    n, m = coding.patches.shape
    sigma, root = float(coding.deviation.min()), np.sqrt(n)
    if sigma <= 1e-6:  # a dimension that is left out would count as soon as it moves
        return 0.0
    norms = np.linalg.norm(coding.patches, axis=1)
    return float((radii * sigma / (1 + (np.sqrt(m) + norms + radii) / root)).min())


def compare(
    x: Floats,
    x_adv: Floats,
    dictionary: Dictionary,
    sparsity: int,
    stride: int,
    min_correlation: float = 0.0,
) -> Comparison:
    """Measure what a perturbation does to the codes of an image.

    Parameters
    ----------
    x, x_adv : float32 arrays of shape (h, w, 3), in [0, 1]
        The benign and the attacked image; each is standardised by its own statistics.
    dictionary, sparsity, stride, min_correlation
        As for ``sparse_code``.

    Returns
    -------
    Comparison
        NaN for the ratios to ‖e‖ if the images are equal.
    """
    stops = sparsity, stride, min_correlation
    pairs = list(
        zip(
            code_patches(x, dictionary, *stops),
            code_patches(x_adv, dictionary, *stops),
            strict=True,
        )
    )
    sets = [_supports(benign.atoms, attacked.atoms) for benign, attacked in pairs]
    moved, common = (np.concatenate(parts) for parts in zip(*sets, strict=True))
    energies = np.sum([_energies(benign, attacked, dictionary) for benign, attacked in pairs], 0)
    radii = [
        image_radius(benign, patch_radii(benign, dictionary, min_correlation), dictionary.normalize)
        for benign, _ in pairs
    ]
    coded = [
        sparse_code(image, dictionary, sparsity, stride, min_correlation=min_correlation)[0]
        for image in (x, x_adv)
    ]
    change = float(np.linalg.norm((x_adv - x).astype(np.float64)))
    left = float(np.linalg.norm((coded[1] - coded[0]).astype(np.float64)))
    whole = energies[0]
    analysis, chosen, inside = (
        (energies[1:] / whole) if whole > 0 else np.full(3, np.nan)
    ).tolist()
    return Comparison(
        len(moved),
        float(moved.mean()),
        float(common.mean()),
        float(np.sqrt(analysis)),
        float(np.sqrt(chosen)),
        float(inside),
        left / change if change else float("nan"),
        min(radii),
        change,
    )


def _supports(benign: Indices, attacked: Indices) -> tuple[NDArray[np.bool_], Doubles]:
    """Whether each patch's set of atoms differs, and the share of its atoms that are kept."""
    kept = (benign[:, :, None] == attacked[:, None, :]).any(axis=2) & (benign >= 0)
    counts = (benign >= 0).sum(axis=1)
    moved = (kept.sum(axis=1) < counts) | (counts != (attacked >= 0).sum(axis=1))
    return moved, np.where(counts > 0, kept.sum(axis=1) / np.maximum(counts, 1), 1.0)


def _energies(benign: Coding, attacked: Coding, dictionary: Dictionary) -> Doubles:
    """‖e‖², ‖Ψᵀe‖² of all atoms and of the chosen ones, and the energy in their span; summed."""
    atoms = dictionary.atoms.astype(np.float64)
    total = np.zeros(4)
    for start in range(0, len(benign.patches), _BLOCK):
        some = slice(start, start + _BLOCK)
        e = attacked.patches[some] - benign.patches[some]
        chosen = benign.atoms[some]
        used = chosen >= 0
        span = atoms[np.where(used, chosen, 0)] * used[:, :, None]  # (n, K, m), 0 where unused
        products = np.einsum("nkm,nm->nk", span, e)
        gram = np.einsum("nkm,nlm->nkl", span, span)
        weights = np.einsum("nkl,nl->nk", np.linalg.pinv(gram, hermitian=True), products)
        total += (
            (e**2).sum(),
            ((e @ atoms.T) ** 2).sum(),
            (products**2).sum(),
            (weights * products).sum(),
        )
    return total
