"""A stage whose method has changed since an artifact was made."""

from __future__ import annotations

import pytest

from rsparse.store.job import METHODS


def raise_method(monkeypatch: pytest.MonkeyPatch, stage: str) -> str:
    """Raise the number of a stage's method, and return how an artifact of the former is told."""
    now = METHODS[stage]
    monkeypatch.setitem(METHODS, stage, now + 1)
    return f"method {now} of {stage}, not {now + 1}"
