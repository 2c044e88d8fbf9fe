"""A classifier that an evaluation uses: its file, and how it takes its input."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rsparse.models.spec import InputOptions


@dataclass(frozen=True)
class ModelChoice:
    """A classifier's file, and what the user says of its input."""

    path: Path
    input_options: InputOptions | None = None

    @property
    def name(self) -> str:
        """What it is called in tables, and its attacks' folder."""
        return self.path.stem
