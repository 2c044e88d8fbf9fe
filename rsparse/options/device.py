"""``--device``, the same for all commands."""

from __future__ import annotations

from typing import Any

from rsparse.options.fields import COMMON, parameter


def device_parameter() -> Any:
    """The field ``device`` of a command; ``rsparse.work.device`` defines its meaning."""
    return parameter(
        "auto",
        "Device to compute on: cpu; cuda or cuda:1 for a GPU, through torch; mps for attacks and "
        "training only. auto is cuda if torch can use a GPU, else cpu.",
        metavar="auto|cpu|cuda",
        section=COMMON,
    )
