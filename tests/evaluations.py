"""Synthetic evaluations for tests, with plausible numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rsparse.evaluation.files import save_evaluation
from rsparse.evaluation.names import (
    ADAPTIVE,
    ADVERSARIAL_TRAINING,
    ADVERSARIAL_TRAINING_BLACK_BOX,
    BLACK_BOX,
    EXTENDED_GRAY_BOX,
    GRAY_BOX,
    TRANSFER,
)
from rsparse.evaluation.places import images_folder
from rsparse.evaluation.results import CLEAN, Check, Column, Evaluation, JudgedDefense, Trial
from rsparse.evaluation.treated import Treated
from rsparse.store.files import sha256_of_file
from rsparse.store.images import encode_png
from rsparse.store.records import EVALUATION, Record, Source
from tests.conftest import make_picture

MODEL, RETRAINED, ADVERSARIAL = "mobilenet-v2", "retrained", "adversarial"

_POWER = {  # of attacks made on one model and judged on another
    (GRAY_BOX, MODEL, MODEL): 1.0,
    (TRANSFER, "mobilenet-v1", MODEL): 0.4,
    (TRANSFER, "inception-v3", MODEL): 0.3,
    (BLACK_BOX, MODEL, RETRAINED): 0.6,
    (EXTENDED_GRAY_BOX, RETRAINED, RETRAINED): 0.8,
    (ADVERSARIAL_TRAINING, ADVERSARIAL, ADVERSARIAL): 0.2,
    (ADVERSARIAL_TRAINING_BLACK_BOX, MODEL, ADVERSARIAL): 0.1,
    (ADAPTIVE, MODEL, MODEL): 3.0,
}
CLASSES = ("astronaut", "brick", "cat", "coffee", "flower")
DEFENSES = (
    ("none", "none"),
    ("regionsparse-sparsity=2", "regionsparse"),
    ("regionsparse-filter_background=no", "regionsparse"),
    ("regionsparse-dictionary=dct", "regionsparse"),
    ("regionsparse-localize=no", "regionsparse"),
    ("jpeg-quality=20", "jpeg"),
    ("jpeg-quality=75", "jpeg"),
    ("median-size=3", "median"),
    ("bit-depth-bits=5", "bit-depth"),
    ("tvm", "tvm"),
    ("nlm", "nlm"),
    ("bilateral+jpeg-quality=40", "bilateral+jpeg"),
)
# accuracy on clean images, and how fast it falls with attack strength
_SKILL = {
    "none": (1.0, 9.0),
    "regionsparse-sparsity=2": (0.86, 0.9),
    "regionsparse-filter_background=no": (0.85, 1.4),
    "regionsparse-dictionary=dct": (0.80, 1.8),
    "regionsparse-localize=no": (0.72, 0.9),
    "jpeg-quality=20": (0.74, 1.7),
    "jpeg-quality=75": (0.94, 4.0),
    "median-size=3": (0.88, 3.0),
    "bit-depth-bits=5": (0.97, 6.0),
    "tvm": (0.73, 1.9),
    "nlm": (0.84, 3.4),
    "bilateral+jpeg-quality=40": (0.70, 1.5),
}
_FAMILIES = (
    ("fgsm", "eps", (2.0, 6.0, 10.0, 14.0, 18.0, 22.0), 22.0),
    ("bim", "eps", (2.0, 6.0, 10.0, 14.0, 18.0, 22.0), 16.0),
    ("mi-fgsm", "d", (0.01, 0.05, 0.1, 0.15, 0.2), 0.14),
    ("cw-l2", "d", (0.01, 0.05, 0.1, 0.15, 0.2), 0.22),
)
RECORD = {
    "format": "rsparse-evaluation",
    "format_version": 1,
    "generator": "rsparse 0.1.0",
    "stage": "evaluate",
    "parameters": {"only_correct": True, "scenario": "gray-box", "attack": ["fgsm:eps=2,6"]},
    "seed": 0,
    "inputs": [
        {
            "name": "dict.h5",
            "sha256": "3f" * 32,
            "record": {
                "format": "rsparse-dictionary",
                "format_version": 1,
                "generator": "rsparse 0.1.0",
                "stage": "learn-dict",
                "parameters": {"n_atoms": 1024, "patch_size": 8},
                "seed": 0,
                "inputs": [{"name": "train", "sha256": "1c" * 32, "record": None}],
            },
        },
        {"name": "mobilenet-v2.onnx", "sha256": "ab" * 32, "record": None},
        {"name": "photos", "sha256": "5e" * 32, "record": None},
    ],
}
CHECKS = (
    Check("BIM is at least as strong as FGSM", GRAY_BOX, "regionsparse-sparsity=2", "pass",
          "6 of 6 strengths: BIM leaves 61.0, 55.0, … % right, FGSM 66.0, 52.0, … %"),
    Check("accuracy falls with the strength", GRAY_BOX, "regionsparse-sparsity=2", "fail",
          "cw-l2: 41.0 % at d = 0.15, 44.5 % at d = 0.2"),
    Check("random noise of the same norm is weaker", GRAY_BOX, "none", "pass",
          "noise leaves 93.0 % right, BIM 0.0 %"),
    Check("doubling the steps gains nothing", GRAY_BOX, "regionsparse-sparsity=2", "not run",
          "the plan has no iterative attack"),
)  # fmt: skip
FEW = (("none", "none"), ("regionsparse-sparsity=2", "regionsparse"), ("jpeg-quality=75", "jpeg"))


def treated_by(n: int, strength: float) -> Treated:
    """Every third image is left unchanged, the others have a PSNR that falls with the strength."""
    done = np.where(np.arange(n) % 3 == 0, 0, 1)
    psnr = np.where(done == 0, np.inf, 40 - strength).astype(np.float32)
    return Treated(("rule 1: none", "rule 2: other"), done.astype(np.int64), psnr)


def make_evaluation(
    n: int = 24,
    *,
    names: tuple[str, ...] | None = None,
    defenses: tuple[tuple[str, str], ...] = DEFENSES,
    transfer: bool = True,
    trained: bool = False,
    adaptive: bool = False,
    seed: int = 0,
) -> Evaluation:
    """``n`` images, every defense, four attacks; optionally transfer and trained models.

    With ``adaptive``, add a scenario in which each attack is made through each defense.
    """
    rng = np.random.default_rng(seed)
    names = names or tuple(f"{CLASSES[i % 5]}/{i // 5:02d}" for i in range(n))
    n = len(names)
    labels = np.arange(n) % len(CLASSES)
    ease = rng.permutation((np.arange(n) + 0.5) / n)  # how robust each image is
    columns = [_column("", "", MODEL, CLEAN, "", None, n, 0.0)]
    if trained:
        columns += [_column("", "", m, CLEAN, "", None, n, 0.0) for m in (RETRAINED, ADVERSARIAL)]
    scenarios = [(GRAY_BOX, MODEL, MODEL)]
    scenarios += [(TRANSFER, m, MODEL) for m in ("mobilenet-v1", "inception-v3")] * transfer
    scenarios += [
        (BLACK_BOX, MODEL, RETRAINED), (EXTENDED_GRAY_BOX, RETRAINED, RETRAINED),
        (ADVERSARIAL_TRAINING, ADVERSARIAL, ADVERSARIAL),
        (ADVERSARIAL_TRAINING_BLACK_BOX, MODEL, ADVERSARIAL),
    ] * trained  # fmt: skip
    for scenario, source, judged in scenarios:
        for family, strength_name, strengths, _ in _FAMILIES:
            wanted = strengths[-1:] if scenario == TRANSFER else strengths
            columns += [
                _column(scenario, source, judged, family, strength_name, s, n, s) for s in wanted
            ]
    if adaptive:
        gray = [column for column in columns if column.scenario == GRAY_BOX]
        columns += [
            replace(column, scenario=ADAPTIVE, through="" if text == "none" else text)
            for column in gray
            for text, _ in defenses
        ]
    trials = []
    for column in columns:
        for text, _ in defenses:
            if column.scenario == ADAPTIVE and (column.through or "none") != text:
                continue
            clean, decay = _SKILL.get(text, (0.8, 2.0))
            share = clean * math.exp(-decay * _relative(column) * _POWER.get(column.threat, 0.0))
            right = ease < share + rng.normal(0, 0.03, n) * (share < 1)
            wrong = (labels + 1 + rng.integers(0, len(CLASSES) - 1, n)) % len(CLASSES)
            prediction = np.where(right, labels, wrong)
            probability = rng.uniform(0.3, 1, n).astype(np.float32)
            treated = treated_by(n, column.strength or 0.0)
            classes = prediction.astype(np.int64)
            trials.append(Trial(column.key, text, classes, probability, treated))
    return Evaluation(
        record=RECORD,
        model=MODEL,
        names=names,
        labels=labels.astype(np.int64),
        only_correct=True,
        left_out=7,
        class_names=CLASSES,
        columns=tuple(columns),
        defenses=tuple(
            JudgedDefense(text, kind, _parameters(text, kind), 0.01 + 0.02 * i)
            for i, (text, kind) in enumerate(defenses)
        ),
        trials=tuple(trials),
        checks=CHECKS,
    )


def _parameters(text: str, kind: str) -> dict[str, Any]:
    if kind == "regionsparse" and "sparsity" in text:
        return {"name": kind, "sparsity": 2}
    if kind == "policy":
        return {"name": kind, "rules": [{"defense": {"name": "regionsparse", "sparsity": 1}}]}
    return {"name": kind}


def _relative(column: Column) -> float:
    strongest = {family: top for family, _, _, top in _FAMILIES}
    return 0.0 if column.strength is None else column.strength / strongest[column.family]


def _column(
    scenario: str, source: str, judged: str, family: str, strength_name: str,
    strength: float | None, n: int, size: float,
) -> Column:  # fmt: skip
    parameters = {} if strength is None else {strength_name: strength, "steps": 10}
    attack = family if strength is None else f"{family}-{strength_name}={strength:g}"
    linf = size if strength_name == "eps" else 300 * size
    d = size if strength_name == "d" else size / 140
    return Column(
        scenario, source, judged, "", attack, family, strength_name, strength, parameters,
        np.full(n, float(round(linf))), np.full(n, 200 * d), np.full(n, d), np.ones(n, bool),
    )  # fmt: skip


def make_eval_folder(
    folder: Path, evaluation: Evaluation, used: Sequence[Path] = (), side: int = 32
) -> Path:
    """Save an evaluation made with the files ``used``, and a picture per image and column."""
    sources = tuple(Source(path.name, sha256_of_file(path)) for path in used)
    record = Record(EVALUATION, "evaluate", {"only_correct": True}, 0, sources)
    save_evaluation(folder, record, evaluation)
    for column in evaluation.columns:
        place = images_folder(column)
        for i, name in enumerate(evaluation.names):
            pixels = make_picture(i, side, side).astype(float)
            noise = np.random.default_rng(i).choice((-1, 1), pixels.shape) * column.linf[i] / 2
            path = folder / place / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_png(np.clip(pixels + noise, 0, 255).astype(np.uint8)))
    return folder


def with_flags(
    flags: dict[str, list[bool]], defenses: tuple[tuple[str, str], ...] = FEW
) -> Evaluation:
    """An evaluation of one attack in which each defense gets the flagged images right."""
    n = len(next(iter(flags.values())))
    whole = make_evaluation(n, defenses=defenses, transfer=False)
    columns = (whole.columns[0], whole.columns[1])
    trials = [
        replace(
            whole.trial(column, defense),
            prediction=np.where(np.array(flags[defense.text]), whole.labels, -1),
        )
        for column in columns
        for defense in whole.defenses
    ]
    return replace(whole, columns=columns, trials=tuple(trials))
