"""``--device``, the same for all commands."""

from __future__ import annotations

from typing import Any

from rsparse.options.fields import parameter
from rsparse.options.sections import RUNNING


def device_parameter() -> Any:
    """The field ``device`` of a command; ``rsparse.work.device`` defines its meaning."""
    return parameter(
        "auto",
        "Device to compute on; auto is cuda if torch can use a GPU.",
        details="cuda is a GPU, through torch; cuda:1 is the second GPU; mps is for attacks and "
        "training only.",
        metavar="auto|cpu|cuda",
        words=("auto", "cpu", "cuda", "cuda:0", "cuda:1", "mps"),
        section=RUNNING,
    )


def batch_parameter(default: int | None, help: str, **rules: Any) -> Any:
    """The field ``batch_size`` of a command that computes several images together."""
    return parameter(default, help, minimum=1, maximum=65536, section=RUNNING, rare=True, **rules)


def attacked_together() -> Any:
    """The field ``batch_size`` of a command that attacks images."""
    return batch_parameter(
        None,
        "Images attacked together; auto is 4 on a CPU, and on a GPU as many as fit in its memory, "
        "at most 64.",
        none="auto",
    )


def seed_parameter(help: str, *, rare: bool = True) -> Any:
    """The field ``seed`` of a command."""
    return parameter(0, help, minimum=0, maximum=2**32 - 1, section=RUNNING, rare=rare)
