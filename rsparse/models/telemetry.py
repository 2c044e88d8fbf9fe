"""Import the libraries that run and fetch models, without their telemetry.

They read these variables when they are imported.
"""

from __future__ import annotations

import os
from typing import Any

from rsparse.errors import missing_package


def import_onnxruntime() -> Any:
    """Import onnxruntime, which would write an identifier of the device into the home folder."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime


def import_huggingface_hub() -> Any:
    """Import the client of the Hugging Face hub.

    Raises
    ------
    InputError
        If it is not installed.
    """
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import huggingface_hub
    except ImportError as error:
        package = error.name or "huggingface_hub"
        raise missing_package("fetching models needs", package, "models") from error
    return huggingface_hub
