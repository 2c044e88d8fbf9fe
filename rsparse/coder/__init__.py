"""Sparse coding for signals of any kind: Orthogonal Matching Pursuit and dictionary learning.

``omp`` codes signals with a given dictionary. ``DictionaryLearner`` is a scikit-learn estimator
that learns one. Both take NumPy arrays and torch tensors, signals as rows.
"""

from __future__ import annotations

from rsparse.coder.learner import DictionaryLearner
from rsparse.coder.pursuit import omp

__all__ = ["DictionaryLearner", "omp"]
