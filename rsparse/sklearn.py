"""RegionSparse as a scikit-learn transformer: ``fit`` it to benign images, then ``transform``."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from rsparse.api import purify
from rsparse.api.images import Images, read_images
from rsparse.core.learning import learn_dictionary
from rsparse.errors import InputError
from rsparse.options.learn_dict import LearnParameters
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters
from rsparse.work.workers import LocalWorkers


class RegionSparseTransformer(TransformerMixin, BaseEstimator):
    """Clean adversarial images by region-wise sparse coding (the paper's whole method).

    ``fit`` learns a dictionary from benign images, and ``transform`` purifies other images. Since
    the input is images (n, h, w, 3) and not a table (n_samples, n_features), scikit-learn's checks
    with tables do not apply. Its checks of parameters, cloning and fitted state pass.

    Parameters
    ----------
    learn : LearnParameters, optional
        Parameters of learning. Its seed determines all random choices.
    policy : str, optional
        Name of the policy that purifies images, or a path that ends in ``.toml``. The default is
        ``default``, unless ``purify`` is given.
    purify : PurifyParameters, optional
        Parameters to purify all images in the same way, instead of a policy.
    localize : LocalizeParameters, optional
        How to locate the object; only together with ``purify``.
    n_jobs : int
        Number of processes for ``transform``.

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
        X : array or tensor of shape (n, h, w, 3) or (n, 3, h, w), or sequence of images
            Benign RGB images, uint8, or floating point in [0, 1].
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        InputError
            If ``X`` has another shape or type, or the parameter sets are of a wrong type or cannot
            be used together.
        """
        self._check_parameters()
        self.dictionary_ = learn_dictionary(read_images(X).pixels, self.learn or LearnParameters())
        return self

    def transform(self, X: Images) -> Any:  # noqa: N803
        """Purify images.

        Parameters
        ----------
        X : array or tensor of shape (n, h, w, 3) or (n, 3, h, w), or sequence of images
            As for ``fit``. Floating-point images are first rounded to 8 bits, as in a file.

        Returns
        -------
        array or list
            Images of the same shapes and type as ``X``; a list if ``X`` is a sequence.

        Raises
        ------
        InputError
            If ``X`` has another shape or type, or there is no such policy.
        """
        check_is_fitted(self)
        self._check_parameters()
        step = _Purify(self.dictionary_, self.purify, self.localize, self.policy)
        images = read_images(X)
        pixels = images.pixels
        return images.like(list(LocalWorkers(self.n_jobs).map(step, pixels, len(pixels))))

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
            raise InputError("policy and purify cannot be used together; give one of them")
        if self.purify is None and self.localize is not None:
            raise InputError(
                "localize: cannot be used without purify, such as PurifyParameters(), since a "
                "policy chooses which part of an image to code"
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
