"""Dictionary learning for signals of any kind, as a scikit-learn estimator."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from rsparse.coder.arrays import as_rows
from rsparse.coder.pursuit import omp
from rsparse.coder.stops import Stops
from rsparse.core.atoms import clean_atoms
from rsparse.core.online import OmpLearner, unit
from rsparse.core.tensors import is_tensor
from rsparse.errors import InputError

_POOL = 8192
"""Signals that show which atoms are used."""


class DictionaryLearner(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Learn a dictionary in which signals are sparse, and code signals with it.

    Online dictionary learning (Mairal et al. 2009): each mini-batch is coded by OMP, and then all
    atoms are improved in turn. Between passes over the signals, atoms that no signal uses and
    near-duplicates are replaced by signals that are coded badly. The signals are used as they are:
    subtract their means first if the mean is not to be coded.

    Parameters
    ----------
    n_components : int, optional
        Number of atoms; by default the signals' dimension.
    n_nonzero_coefs, tol, threshold
        When the code of a signal is complete, in ``fit`` and in ``transform``; see ``omp``.
    passes : int
        Passes of ``fit`` over the signals.
    batch_size : int
        Signals in a mini-batch.
    max_coherence : float
        Of two atoms with a larger inner product in magnitude, one is replaced.
    sparse : bool
        ``transform`` returns a sparse matrix (CSR).
    random_state : int, RandomState or None
        Determines the first atoms and the order of the signals.
    n_jobs : int, optional
        Threads, by default one. Their number does not change a byte.

    Attributes
    ----------
    components_ : array of shape (n_components, m)
        The atoms, rows of norm 1, in the type of the signals. Learning computes in float32.
    n_features_in_ : int
        m.
    n_batches_seen_ : int
        Mini-batches learned from.

    Examples
    --------
    >>> import numpy as np
    >>> from rsparse import DictionaryLearner
    >>> signals = np.random.default_rng(0).standard_normal((500, 16))
    >>> learner = DictionaryLearner(32, n_nonzero_coefs=3, random_state=0)
    >>> codes = learner.fit_transform(signals)
    >>> codes.shape, int((codes != 0).sum(axis=1).max())
    ((500, 32), 3)
    """

    def __init__(
        self,
        n_components: int | None = None,
        *,
        n_nonzero_coefs: int | None = None,
        tol: float | None = None,
        threshold: float | None = None,
        passes: int = 5,
        batch_size: int = 64,
        max_coherence: float = 0.99,
        sparse: bool = False,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.n_nonzero_coefs = n_nonzero_coefs
        self.tol = tol
        self.threshold = threshold
        self.passes = passes
        self.batch_size = batch_size
        self.max_coherence = max_coherence
        self.sparse = sparse
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: object = None) -> DictionaryLearner:  # noqa: ARG002, N803
        """Learn a dictionary from signals.

        Parameters
        ----------
        X : array or torch tensor of shape (n, m)
            One signal a row. A tensor on a device is copied to the CPU.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If ``X`` is no array of finite numbers.
        InputError
            If a parameter is outside its range.
        """
        signals = self._signals(X, reset=True)
        self._start(signals)
        for number in range(_whole("passes", self.passes)):
            if number:
                self._clean(signals)
            self._learn(signals[self._rng.permutation(len(signals))])
        return self._finish(signals)

    def partial_fit(self, X: Any, y: object = None) -> DictionaryLearner:  # noqa: ARG002, N803
        """Learn from more signals, once and in their order; see ``fit``."""
        signals = self._signals(X, reset=not hasattr(self, "components_"))
        if not hasattr(self, "components_"):
            self._start(signals)
        self._learn(signals)
        return self._finish(signals)

    def transform(self, X: Any) -> Any:  # noqa: N803
        """Code signals.

        Parameters
        ----------
        X : array or torch tensor of shape (n, m)

        Returns
        -------
        array or tensor of shape (n, n_components)
            The codes, as ``omp`` returns them.

        Raises
        ------
        ValueError, InputError
            As ``fit``.
        """
        check_is_fitted(self)
        signals = self._checked(X, reset=False)
        atoms: Any = self.components_
        if is_tensor(signals):
            import torch

            atoms = torch.from_numpy(atoms).to(signals.device)
        limits = {name: getattr(self, name) for name in ("n_nonzero_coefs", "tol", "threshold")}
        return omp(signals, atoms, **limits, sparse=self.sparse, threads=self._threads())

    def inverse_transform(self, codes: Any) -> Any:
        """The signals (n, m) that codes (n, n_components) stand for; any kind of array."""
        check_is_fitted(self)
        if is_tensor(codes):
            import torch

            return codes @ torch.from_numpy(self.components_).to(codes.device, codes.dtype)
        return codes @ self.components_

    def _start(self, signals: Any) -> None:
        """Take the first atoms from the signals; random ones if there are too few."""
        k = _whole("n_components", self.n_components or signals.shape[1])
        _whole("batch_size", self.batch_size)
        self._rng = np.random.default_rng(_seed(self.random_state))
        energy = float(np.square(signals, dtype=np.float64).sum(axis=1).mean())
        self._scale = 1 / math.sqrt(energy) if energy > 0 else 1.0
        usable = np.unique(signals[np.abs(signals).max(axis=1) > 0], axis=0)
        chosen = usable[self._rng.permutation(len(usable))[:k]]
        others = self._rng.standard_normal((k - len(chosen), signals.shape[1]))
        atoms = unit(np.concatenate([chosen * self._scale, others]))
        limits = self.n_nonzero_coefs, self.tol, self.threshold
        stops = Stops.of(*limits, (k, signals.shape[1])).scaled(self._scale)
        self._learner = OmpLearner(
            atoms, stops.sparsity, self._threads(),
            tolerance=math.sqrt(stops.energy), min_correlation=stops.correlation,
        )  # fmt: skip
        self.n_batches_seen_ = 0

    def _learn(self, signals: Any) -> None:
        for start in range(0, len(signals), self.batch_size):
            batch = signals[start : start + self.batch_size] * self._scale
            self._learner.partial_fit(np.ascontiguousarray(batch, np.float32))
            self.n_batches_seen_ += 1

    def _clean(self, signals: Any) -> None:
        few = signals[self._rng.permutation(len(signals))[:_POOL]] * self._scale
        few = few[np.abs(few).max(axis=1) > 1e-6].astype(np.float32)
        clean_atoms(self._learner, few, self.max_coherence, self._rng)

    def _finish(self, signals: Any) -> DictionaryLearner:
        atoms = self._learner.atoms.astype(np.float64)
        atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
        self.components_ = atoms.astype(signals.dtype)
        return self

    def _signals(self, X: Any, *, reset: bool) -> Any:  # noqa: N803
        signals = self._checked(X, reset=reset)
        return as_rows("X", signals).as_numpy() if is_tensor(signals) else signals

    def _checked(self, X: Any, *, reset: bool) -> Any:  # noqa: N803
        if not is_tensor(X):
            kinds = [np.float64, np.float32]
            return validate_data(self, X, dtype=kinds, order="C", reset=reset)
        rows = as_rows("X", X).rows
        if len(rows) == 0:
            raise InputError("X: expected at least one signal, got none")
        if reset:
            self.n_features_in_ = rows.shape[1]
        elif rows.shape[1] != self.n_features_in_:
            raise InputError(
                f"X: expected signals of {self.n_features_in_} numbers as in fit, "
                f"got {rows.shape[1]}"
            )
        return X

    def _threads(self) -> int:
        from rsparse.work.workers import usable_cores

        if self.n_jobs is None:
            return 1
        if self.n_jobs == -1:
            return usable_cores()
        return _whole("n_jobs", self.n_jobs)

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise InputError(f"{name}: expected a whole number of 1 or more, got {value!r}")
    return int(value)


def _seed(random_state: Any) -> int:
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
