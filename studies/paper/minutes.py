"""How many minutes each part has taken, in ``minutes.csv`` of the work folder."""

from __future__ import annotations

from pathlib import Path

from studies.tables import read_rows, write_rows

FILE = "minutes.csv"


def minutes_of(work: Path) -> dict[str, float]:
    """The minutes of each part over all its runs, but for those that were killed."""
    path = work / FILE
    return {row["part"]: float(row["minutes"]) for row in read_rows(path)} if path.exists() else {}


def add_minutes(work: Path, part: str, minutes: float) -> None:
    """Add to the minutes of a part."""
    known = minutes_of(work)
    known[part] = known.get(part, 0.0) + minutes
    write_rows(work / FILE, [{"part": name, "minutes": f"{n:.2f}"} for name, n in known.items()])
