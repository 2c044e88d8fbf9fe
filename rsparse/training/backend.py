"""What training needs beside the rest."""

from __future__ import annotations

from importlib.util import find_spec

from rsparse.errors import InputError


def require_training() -> None:
    """See that torch, onnx2torch and safetensors are installed.

    Raises
    ------
    InputError
        If one of them is not.
    """
    for name in ("torch", "onnx2torch", "safetensors"):
        if find_spec(name) is None:
            raise InputError(
                f"training needs {name}, which is not installed: pip install 'rsparse[train]'"
            )
