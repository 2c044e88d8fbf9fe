"""A policy in a file of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

MINE = """about = "As mild as can be."

[[rule]]
noise-below = 3
defense = "none"

[[rule]]
defense = "regionsparse:sparsity=1,localize=no"
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(MINE, encoding="utf-8")
    return path
