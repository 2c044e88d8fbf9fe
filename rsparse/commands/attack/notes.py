"""What the notes of a folder's images tell together: what found them, and at what cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

Notes = dict[str, Any]


def summarize_notes(entries: Iterable[Mapping[str, Any]]) -> Notes | None:
    """Summarize the notes in a manifest's entries.

    Images whose label is the class that the attack is to reach are left out: there is nothing to
    do for them.

    Returns
    -------
    dict or None
        ``images``: how many have notes. ``queries``: the median number of images that were
        classified for one. For ``adaptive`` also ``reached`` (images that fool the attacked model),
        ``by`` (how many of these by what), ``steps`` (the median of their gradient steps),
        ``lowered`` (the median share of steps that lowered the loss; None if no image needed two).
        For a random defense, ``asked`` (how often about each result), ``held_each_time`` and
        ``held_by_majority`` (images). None if no entry has notes.
    """
    notes = [
        entry["notes"]
        for entry in entries
        if "notes" in entry and not ("target" in entry and entry["target"] == entry["label"])
    ]
    if not notes:
        return None
    found: Notes = {"images": len(notes), "queries": _median(note["queries"] for note in notes)}
    if "by" in notes[0]:
        reached = [note for note in notes if note["reached"]]
        found["reached"] = len(reached)
        found["by"] = dict(Counter(note["by"] for note in reached).most_common())
        found["steps"] = _median(note["gradients"] for note in reached)
        found["lowered"] = _median(note["lowered"] for note in notes if "lowered" in note)
    if "asked" in notes[0]:
        times = notes[0]["asked"]
        found["asked"] = times
        found["held_each_time"] = sum(not note["fooled"] for note in notes)
        found["held_by_majority"] = sum(2 * note["fooled"] < times for note in notes)
    return found


def notes_in_words(notes: Mapping[str, Any]) -> str:
    """The summary of notes in one line."""
    queries = f"{notes['queries']:g} queries an image (median)"
    if "by" not in notes:
        return queries
    by = ", ".join(f"{count} by {name}" for name, count in notes["by"].items()) or "none"
    text = f"fools for {notes['reached']} of {notes['images']} ({by})"
    if notes["steps"] is not None:
        text += f" in {notes['steps']:g} steps (median)"
    text += f"; {queries}"
    if "asked" in notes:
        text += (
            f"; asked {notes['asked']} times, the defense holds each time for "
            f"{notes['held_each_time']}, by majority for {notes['held_by_majority']}"
        )
    return text


def _median(values: Iterable[float]) -> float | None:
    numbers = list(values)
    return float(np.median(numbers)) if numbers else None
