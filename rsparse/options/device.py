"""``--device``, the same in every command that has it."""

from __future__ import annotations

from typing import Any

from rsparse.options.fields import COMMON, parameter


def device_parameter() -> Any:
    """A command's field ``device``; ``rsparse.work.device`` says what it means."""
    return parameter(
        "auto",
        "Where to compute: cpu; cuda or cuda:1, a GPU through torch; for attacks and training "
        "also mps. auto is cuda where torch can use a GPU, else cpu.",
        metavar="auto|cpu|cuda",
        section=COMMON,
    )
