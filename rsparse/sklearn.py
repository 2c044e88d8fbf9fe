"""RegionSparse as a scikit-learn transformer: ``fit`` on benign images, ``transform`` others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from rsparse.api import purify
from rsparse.core.learning import learn_dictionary
from rsparse.errors import InputError
from rsparse.options.learn_dict import LearnParameters
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters
from rsparse.store.images import to_pixels, to_unit
from rsparse.work.workers import LocalWorkers

Images = NDArray[Any] | Sequence[NDArray[Any]]


class RegionSparseTransformer(TransformerMixin, BaseEstimator):
    """Clean adversarial images by region-wise sparse coding (the paper's whole method).

    ``fit`` learns a dictionary from benign images, ``transform`` purifies any others. It works on
    images (n, h, w, 3), not on a table (n_samples, n_features), so scikit-learn's checks that
    feed a table do not apply; those on parameters, cloning and fitted state do and pass.

    Parameters
    ----------
    learn : LearnParameters, optional
        How the dictionary is learned; its seed is that of all random choices.
    policy : str, optional
        How images are purified: a policy's name, or a path that ends in ``.toml``; ``default``
        where ``purify`` is not given, either.
    purify : PurifyParameters, optional
        How images are purified, every one alike, in place of a policy.
    localize : LocalizeParameters, optional
        Beside ``purify``: how the object region is found.
    n_jobs : int
        Processes for ``transform``.

    Attributes
    ----------
    dictionary_ : Dictionary
        The learned dictionary; atoms are rows.

    Examples
    --------
    >>> import numpy as np
    >>> from rsparse import LearnParameters, RegionSparseTransformer
    >>> benign = np.random.default_rng(0).integers(0, 256, (2, 24, 24, 3), dtype=np.uint8)
    >>> small = LearnParameters(n_atoms=16, patch_size=4, smoothing=False)
    >>> cleaner = RegionSparseTransformer(learn=small).fit(benign)
    >>> cleaner.transform(benign).shape
    (2, 24, 24, 3)
    """

    def __init__(
        self,
        *,
        learn: LearnParameters | None = None,
        policy: str | None = None,
        purify: PurifyParameters | None = None,
        localize: LocalizeParameters | None = None,
        n_jobs: int = 1,
    ) -> None:
        self.learn = learn
        self.policy = policy
        self.purify = purify
        self.localize = localize
        self.n_jobs = n_jobs

    def fit(self, X: Images, y: object = None) -> RegionSparseTransformer:  # noqa: ARG002, N803
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
            If ``X`` is no such images, or a parameter set is of another kind or excludes another.
        """
        self._check_parameters()
        self.dictionary_ = learn_dictionary(as_pixels(X), self.learn or LearnParameters())
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

        Raises
        ------
        InputError
            If ``X`` is no such images, or there is no such policy.
        """
        check_is_fitted(self)
        self._check_parameters()
        step = _Purify(self.dictionary_, self.purify, self.localize, self.policy)
        images = as_pixels(X)
        cleaned = list(LocalWorkers(self.n_jobs).map(step, images, len(images)))
        like = [
            pixels if np.asarray(image).dtype == np.uint8 else to_unit(pixels)
            for pixels, image in zip(cleaned, X, strict=True)
        ]
        return np.stack(like) if isinstance(X, np.ndarray) else like

    def _check_parameters(self) -> None:
        kinds = {
            "learn": LearnParameters,
            "purify": PurifyParameters,
            "localize": LocalizeParameters,
        }
        for name, kind in kinds.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise InputError(f"{name}: expected {kind.__name__}, got {value!r}")
        if self.purify is not None and self.policy is not None:
            raise InputError("policy and purify exclude each other; give one of them")
        if self.purify is None and self.localize is not None:
            raise InputError(
                "localize goes with purify, such as PurifyParameters(); a policy says by itself "
                "which part of an image is coded"
            )

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
