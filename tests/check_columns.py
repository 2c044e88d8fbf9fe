"""Columns of an evaluation with given strengths, for checks on hand-made results."""

from __future__ import annotations

import numpy as np

from rsparse.evaluation.names import GRAY_BOX
from rsparse.evaluation.results import CLEAN, Column

N = 40


def column(
    attack: str, eps: float | None = None, steps: int = 1, scenario: str = GRAY_BOX,
    source: str = "m", judged: str = "m",
):  # fmt: skip
    family = attack.split("-eps")[0]
    clean = family == CLEAN
    size = np.full(N, eps or 0.0)
    return Column(
        "" if clean else scenario, "" if clean else source, judged, "", attack, family,
        "eps" if eps else "", eps,
        {"name": family, "eps": eps, **({"steps": steps} if steps > 1 else {})},
        size, size, size, np.ones(N, bool),
    )  # fmt: skip
