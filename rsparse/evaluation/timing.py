"""``timing.json``: the seconds per image of each defense of an evaluation."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rsparse.errors import InputError
from rsparse.evaluation.results import Evaluation
from rsparse.store.files import write_atomic
from rsparse.store.json_files import read_json

TIMING_FILE = "timing.json"


def load_timing(folder: Path) -> dict[str, float]:
    """Load the seconds per image by defense from ``timing.json``; empty without that file.

    Raises
    ------
    InputError
        If the file contains something else.
    """
    path = folder / TIMING_FILE
    if not path.exists():
        return {}
    content = read_json(path)
    seconds = content.get("seconds_an_image") if isinstance(content, dict) else None
    if not isinstance(seconds, dict) or not all(map(_is_duration, seconds.values())):
        raise InputError(f"{path}: is damaged; remove it")
    return seconds


def _is_duration(value: object) -> bool:
    return isinstance(value, float | int) and 0 <= value < 1e9 and not math.isnan(value)


def save_timing(folder: Path, seconds_an_image: Mapping[str, float]) -> None:
    """Write ``timing.json``."""
    content = {"seconds_an_image": dict(sorted(seconds_an_image.items()))}
    write_atomic(folder / TIMING_FILE, json.dumps(content, indent=1).encode() + b"\n")


def with_timing(evaluation: Evaluation, timing: Mapping[str, float]) -> Evaluation:
    """A copy of the evaluation with the seconds of the defenses from ``load_timing``."""
    timed = tuple(replace(d, seconds=timing.get(d.text)) for d in evaluation.defenses)
    return replace(evaluation, defenses=timed)
