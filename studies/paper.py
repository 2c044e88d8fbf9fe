"""The paper's Table II: top-1 of Inception-v3 in %, by kind of attack and strength."""

from __future__ import annotations

from collections.abc import Mapping

STRENGTHS = {"fgsm": (2, 14, 22), "bim": (2, 14, 22), "cw-l2": (0.01, 0.14, 0.2),
             "mi-fgsm": (0.01, 0.14, 0.2)}  # fmt: skip
_ROWS = {  # clean, then each kind at its strengths
    "Normal": (100, (25, 22, 24), (15, 0, 0), (14, 13, 18), (24, 3, 1)),
    "FGSM Adversarial": (83, (70, 52, 51), (76, 52, 42), (79, 74, 66), (74, 61, 51)),
    "RegionSparse": (84, (75, 60, 55), (78, 70, 67), (83, 80, 76), (81, 75, 68)),
    "RegionSparse + FGSM Adversarial":
        (91, (85, 73, 69), (85, 79, 76), (86, 85, 82), (85, 81, 79)),
}  # fmt: skip

Row = Mapping[tuple[str, float | None], int]
TABLE_TWO: Mapping[str, Row] = {
    name: {("clean", None): clean}
    | {
        (kind, strength): value
        for (kind, strengths), values in zip(STRENGTHS.items(), attacked, strict=True)
        for strength, value in zip(strengths, values, strict=True)
    }
    for name, (clean, *attacked) in _ROWS.items()
}
