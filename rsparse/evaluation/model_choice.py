"""A classifier that an evaluation uses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rsparse.errors import as_text
from rsparse.models.spec import InputOptions


@dataclass(frozen=True)
class ModelChoice:
    """A classifier's file and the input options that the user gave for it."""

    path: Path
    input_options: InputOptions | None = None

    @property
    def name(self) -> str:
        """Its name in tables, and that of the folder of its attacks."""
        stem = self.path.stem  # ".." for "...onnx", which would lead out of that folder
        return as_text(stem if stem.strip(".") else self.path.name)
