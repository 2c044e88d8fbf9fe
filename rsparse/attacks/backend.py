"""Import foolbox, or say how to install it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rsparse.errors import is_out_of_memory, missing_package

if TYPE_CHECKING:
    import torch


def require_foolbox() -> None:
    """Import torch and foolbox.

    Foolbox 3.3 imports a module that SciPy has deprecated. That warning is silenced.

    Raises
    ------
    InputError
        If either is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import foolbox
            import torch
    except ImportError as error:
        if is_out_of_memory(error):
            raise
        raise missing_package("attacks need", error.name or "foolbox", "attack") from error
    del foolbox, torch


def has_gradients(module: torch.nn.Module) -> bool:
    """Whether a module that attacks a classifier can be differentiated."""
    return bool(getattr(module, "has_gradients", True))


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Limit torch to one CPU core."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
