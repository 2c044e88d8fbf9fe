"""An evaluation of six images, with every answer by hand."""

from __future__ import annotations

import numpy as np

from rsparse.evaluation.names import GRAY_BOX
from rsparse.evaluation.results import CLEAN, Check, Column, Evaluation, JudgedDefense, Trial
from rsparse.store.records import EVALUATION, Record

N = 6
RIGHT = {  # by attack and defense: which of six images are correct
    ("clean", "none"): "111111",
    ("clean", "jpeg-quality=75"): "111110",
    ("clean", "median-size=3"): "111100",
    ("clean", "regionsparse-sparsity=1"): "111111",
    ("fgsm-eps=2", "none"): "000001",
    ("fgsm-eps=2", "jpeg-quality=75"): "110001",
    ("fgsm-eps=2", "median-size=3"): "111000",
    ("fgsm-eps=2", "regionsparse-sparsity=1"): "111110",
    ("cw-l2-d=0.05", "none"): "000000",
    ("cw-l2-d=0.05", "jpeg-quality=75"): "000011",
    ("cw-l2-d=0.05", "median-size=3"): "000000",
    ("cw-l2-d=0.05", "regionsparse-sparsity=1"): "011111",
}


def column(attack: str, family: str, strength_name: str = "", strength: float | None = None):
    clean = family == CLEAN
    size = np.zeros(N) if clean else np.arange(1.0, N + 1)
    return Column(
        "" if clean else GRAY_BOX, "" if clean else "m", "m", "", attack, family, strength_name,
        strength, {"name": family}, linf=size, l2=size / 10, d=size / 100,
        found=np.array([True] * 5 + [clean]),
    )  # fmt: skip


def make_evaluation() -> Evaluation:
    columns = (
        column("clean", CLEAN),
        column("fgsm-eps=2", "fgsm", "eps", 2.0),
        column("cw-l2-d=0.05", "cw-l2", "d", 0.05),
    )
    defenses = tuple(
        JudgedDefense(text, text.split("-")[0], {"name": text.split("-")[0]}, seconds)
        for text, seconds in (
            ("none", 0.0), ("median-size=3", 0.5), ("jpeg-quality=75", None),
            ("regionsparse-sparsity=1", 0.25),
        )
    )  # fmt: skip
    labels = np.arange(N)
    trials = []
    for c in columns:
        for d in defenses:
            right = np.array([flag == "1" for flag in RIGHT[c.attack, d.text]])
            prediction = np.where(right, labels, (labels + 1) % N)
            trials.append(Trial(c.key, d.text, prediction, np.full(N, 0.5, np.float32)))
    return Evaluation(
        Record(EVALUATION, "evaluate", {}).as_json(), "m", tuple("abcdef"), labels, True, 2,
        tuple(f"class {i}" for i in range(N)), columns, defenses, tuple(trials),
        (Check("monotone", GRAY_BOX, "none", "pass", "100 → 17 %"),),
    )  # fmt: skip


def flags(text: str) -> np.ndarray:
    return np.array([letter == "1" for letter in text])
