"""RegionSparse as a scikit-learn transformer: ``fit`` on benign images, ``transform`` others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from rsparse.api import purify
from rsparse.core.learning import learn_dictionary
from rsparse.defenses.policy import DEFAULT_POLICY
from rsparse.errors import InputError
from rsparse.options.fields import Parameters
from rsparse.options.learn_dict import LearnParameters
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters
from rsparse.store.images import to_pixels, to_unit
from rsparse.work.workers import LocalWorkers

P = TypeVar("P", bound=Parameters)
Images = NDArray[Any] | Sequence[NDArray[Any]]


class RegionSparse(TransformerMixin, BaseEstimator):
    """Clean adversarial images by region-wise sparse coding (the paper's whole method).

    ``fit`` learns a dictionary from benign images, ``transform`` purifies any others. It works on
    images (n, h, w, 3), not on a table (n_samples, n_features), so scikit-learn's checks that
    feed a table do not apply; those on parameters, cloning and fitted state do and pass.

    Parameters
    ----------
    patch_size, color, n_atoms, patches_per_image, smoothing, smoothing_h, normalize, coder,
    atoms_per_patch, l1_penalty
        Dictionary learning; see ``rsparse.LearnParameters``.
    policy : str
        How images are purified where no ``sparsity`` is given: a policy's name or its file.
    sparsity : int, optional
        Atoms K for a patch of any image, in place of the policy.
    min_correlation, stride, localize, prefilter, filter_background, bilateral_diameter,
    bilateral_sigma_color, bilateral_sigma_space, feather
        Purifying beside ``sparsity``; see ``rsparse.PurifyParameters``.
    localization : LocalizeParameters, optional
        How the object region is found, beside ``sparsity``.
    random_state : int
        Seed of dictionary learning.
    n_jobs : int
        Processes for ``transform``.

    Attributes
    ----------
    dictionary_ : Dictionary
        The learned dictionary; atoms are rows.

    Examples
    --------
    >>> import numpy as np
    >>> from rsparse import RegionSparse
    >>> benign = np.random.default_rng(0).integers(0, 256, (2, 24, 24, 3), dtype=np.uint8)
    >>> cleaner = RegionSparse(n_atoms=16, patch_size=4, smoothing=False).fit(benign)
    >>> cleaner.transform(benign).shape
    (2, 24, 24, 3)
    """

    def __init__(
        self,
        *,
        patch_size: int = LearnParameters.patch_size,
        color: bool = LearnParameters.color,
        n_atoms: int = LearnParameters.n_atoms,
        patches_per_image: int = LearnParameters.patches_per_image,
        smoothing: bool = LearnParameters.smoothing,
        smoothing_h: float = LearnParameters.smoothing_h,
        normalize: bool = LearnParameters.normalize,
        coder: str = LearnParameters.coder,
        atoms_per_patch: int = LearnParameters.atoms_per_patch,
        l1_penalty: float = LearnParameters.l1_penalty,
        policy: str = DEFAULT_POLICY,
        sparsity: int | None = None,
        min_correlation: float = PurifyParameters.min_correlation,
        stride: int = PurifyParameters.stride,
        localize: bool = PurifyParameters.localize,
        prefilter: bool = PurifyParameters.prefilter,
        filter_background: bool = PurifyParameters.filter_background,
        bilateral_diameter: int = PurifyParameters.bilateral_diameter,
        bilateral_sigma_color: float = PurifyParameters.bilateral_sigma_color,
        bilateral_sigma_space: float = PurifyParameters.bilateral_sigma_space,
        feather: float = PurifyParameters.feather,
        localization: LocalizeParameters | None = None,
        random_state: int = LearnParameters.seed,
        n_jobs: int = 1,
    ) -> None:
        self.patch_size = patch_size
        self.color = color
        self.n_atoms = n_atoms
        self.patches_per_image = patches_per_image
        self.smoothing = smoothing
        self.smoothing_h = smoothing_h
        self.normalize = normalize
        self.coder = coder
        self.atoms_per_patch = atoms_per_patch
        self.l1_penalty = l1_penalty
        self.policy = policy
        self.sparsity = sparsity
        self.min_correlation = min_correlation
        self.stride = stride
        self.localize = localize
        self.prefilter = prefilter
        self.filter_background = filter_background
        self.bilateral_diameter = bilateral_diameter
        self.bilateral_sigma_color = bilateral_sigma_color
        self.bilateral_sigma_space = bilateral_sigma_space
        self.feather = feather
        self.localization = localization
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Images, y: object = None) -> RegionSparse:  # noqa: ARG002, N803
        """Learn the dictionary.

        Parameters
        ----------
        X : array of shape (n, h, w, 3), or sequence of arrays of shape (h, w, 3)
            Benign RGB images, uint8, or floating point in [0, 1].
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        InputError
            If ``X`` is no such images or a parameter is out of range.
        """
        parameters = self._parameters(LearnParameters, seed=self.random_state)
        self.dictionary_ = learn_dictionary(as_pixels(X), parameters)
        return self

    def transform(self, X: Images) -> Any:  # noqa: N803
        """Purify images.

        Parameters
        ----------
        X : array of shape (n, h, w, 3), or sequence of arrays of shape (h, w, 3)
            As for ``fit``. Floating-point images are rounded to 8 bits first, as a file would be.

        Returns
        -------
        Images of the same shapes and type as ``X``; an array for an array, else a list.
        """
        check_is_fitted(self)
        step = _Purify(self.dictionary_, *self._purifying())
        images = as_pixels(X)
        cleaned = list(LocalWorkers(self.n_jobs).map(step, images, len(images)))
        like = [
            pixels if np.asarray(image).dtype == np.uint8 else to_unit(pixels)
            for pixels, image in zip(cleaned, X, strict=True)
        ]
        return np.stack(like) if isinstance(X, np.ndarray) else like

    def _purifying(self) -> tuple[PurifyParameters | None, LocalizeParameters | None, str | None]:
        """Parameters and localization, or a policy: what ``api.purify`` takes."""
        if self.sparsity is not None:
            return self._parameters(PurifyParameters), self.localization, None
        default = RegionSparse().get_params()
        for name in [field.name for field in dataclasses.fields(PurifyParameters)]:
            if getattr(self, name) != default[name]:
                raise InputError(f"{name}: goes with sparsity; the policy says by itself")
        return None, self.localization, self.policy

    def _parameters(self, kind: type[P], **others: Any) -> P:
        """The checked dataclass of those parameters that belong to ``kind``."""
        names = {field.name for field in dataclasses.fields(kind)}
        own = {name: value for name, value in self.get_params().items() if name in names}
        return kind(**own, **others)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = False
        tags.no_validation = True
        return tags


@dataclasses.dataclass(frozen=True)
class _Purify:
    dictionary: Any
    parameters: PurifyParameters | None
    localization: LocalizeParameters | None
    policy: str | None

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        purifying = (self.parameters, self.localization)
        return purify(pixels, self.dictionary, *purifying, policy=self.policy)


def as_pixels(images: Images) -> list[NDArray[np.uint8]]:
    """Images as uint8 arrays of shape (h, w, 3).

    Raises
    ------
    InputError
        If one has another shape or type, or floating-point values outside [0, 1].
    """
    if isinstance(images, np.ndarray) and images.ndim != 4:
        raise InputError(f"images: expected an array of shape (n, h, w, 3), got {images.shape}")
    if len(images) == 0:
        raise InputError("images: expected at least one, got none")
    return [_pixels(np.asarray(image), number) for number, image in enumerate(images)]


def _pixels(image: NDArray[Any], number: int) -> NDArray[np.uint8]:
    if image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"image {number}: expected shape (h, w, 3), got {image.shape}")
    if image.dtype == np.uint8:
        return image
    if not np.issubdtype(image.dtype, np.floating):
        raise InputError(
            f"image {number}: expected uint8, or floating point in [0, 1], got {image.dtype}"
        )
    low, high = float(image.min()), float(image.max())
    if not (low >= 0 and high <= 1):
        raise InputError(f"image {number}: expected values in [0, 1], got {low:g} to {high:g}")
    return to_pixels(image.astype(np.float32))
