"""Statistics of an attack on a folder, from the entries of its manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rsparse.commands.attack.notes import summarize_notes


@dataclass(frozen=True)
class AttackSummary:
    """Rates, means and maxima over a folder's images.

    Attributes
    ----------
    attack : str
        Short name of the attack.
    output : str
        The folder.
    images, resumed, nothing_found : int
        Images attacked, images taken from an earlier run, and images for which the attack found
        nothing.
    accuracy_before, accuracy_float, accuracy : float
        Accuracy on the benign images, the attacked images, and the attacked images rounded to 8
        bits.
    success_float, success : float or None
        Share of the correctly classified images that are misclassified after the attack; None if
        no image was classified correctly.
    target_reached : float or None
        Share of the images outside the target class that are classified as it after the attack;
        None for an attack without a target.
    changed : int
        Images that differ from the benign ones after rounding. The following statistics are over
        these images.
    mean_d, max_d, mean_l2, mean_linf, max_linf : float
        Dissimilarity; L2 norm of the perturbation with pixels in [0, 1]; L∞ norm in grey levels.
    seconds : float or None
        Mean seconds that the attack of an image took on one core or on the device; None if all
        images are from an earlier run. No artifact has it.
    accuracy_defended_before, accuracy_defended : float or None
        Accuracy behind the attacked defense on the benign and on the attacked images; None if the
        attack was on the bare model.
    success_defended : float or None
        Share of the images classified correctly behind the defense that are misclassified behind
        it after the attack.
    scaling : dict or None
        The factor tau by which all perturbations were multiplied, and the average dissimilarity
        without (d_raw) and with it (d).
    notes : dict or None
        What the attack tells about the images, together: see ``notes.summarize_notes``.
    """

    attack: str
    output: str
    images: int
    resumed: int
    nothing_found: int
    accuracy_before: float
    accuracy_float: float
    accuracy: float
    success_float: float | None
    success: float | None
    target_reached: float | None
    changed: int
    mean_d: float
    max_d: float
    mean_l2: float
    mean_linf: float
    max_linf: float
    scaling: Mapping[str, float] | None
    notes: Mapping[str, Any] | None = None
    seconds: float | None = field(default=None, compare=False)
    accuracy_defended_before: float | None = None
    accuracy_defended: float | None = None
    success_defended: float | None = None

    @property
    def doubts(self) -> list[str]:
        """What speaks against the attack: a sentence if it ran, but changed no image."""
        if self.changed or self.nothing_found == self.images:
            return []
        return [
            f"{self.attack} changed no image: the gradient is zero, as behind rounding or a "
            "saturated function, or its limit is below half a grey level; attacks without "
            "gradients, such as square, would tell"
        ]


def summarize(
    attack: str,
    output: str,
    entries: Iterable[Mapping[str, Any]],
    resumed: int,
    scaling: Mapping[str, float] | None,
    spent: float = 0.0,
) -> AttackSummary:
    """Summarize a manifest's entries; ``spent`` are the seconds that the attack took."""
    rows, aimed, noted, defended = [], [], [], []
    for entry in entries:
        known = ("notes", "label", "target")
        noted.append({key: entry[key] for key in known if key in entry})
        rows.append(_row(entry))
        if "defended" in entry:
            right_before = entry["defended_before"] == entry["label"]
            defended.append((right_before, not entry["success_defended"]))
        if entry.get("target", entry["label"]) != entry["label"]:
            aimed.append(entry["target_reached"])
    flags = np.array([row[:4] for row in rows], dtype=bool)
    correct, fooled_float, fooled, nothing_found = flags.T
    sizes = np.array([row[4:] for row in rows if row[6] > 0], dtype=float).reshape(-1, 3)
    means = sizes.mean(axis=0) if len(sizes) else np.zeros(3)
    maxima = sizes.max(axis=0) if len(sizes) else np.zeros(3)
    return AttackSummary(
        attack=attack,
        output=output,
        images=len(rows),
        resumed=resumed,
        nothing_found=int(nothing_found.sum()),
        accuracy_before=float(correct.mean()),
        accuracy_float=float(1 - fooled_float.mean()),
        accuracy=float(1 - fooled.mean()),
        success_float=float(fooled_float[correct].mean()) if correct.any() else None,
        success=float(fooled[correct].mean()) if correct.any() else None,
        target_reached=float(np.mean(aimed)) if aimed else None,
        changed=len(sizes),
        mean_d=float(means[0]),
        max_d=float(maxima[0]),
        mean_l2=float(means[1]),
        mean_linf=float(means[2]),
        max_linf=float(maxima[2]),
        scaling=scaling,
        notes=summarize_notes(noted),
        seconds=spent / made if (made := len(rows) - resumed) > 0 and spent else None,
        **_behind_the_defense(defended),
    )


def _behind_the_defense(defended: Sequence[tuple[bool, bool]]) -> dict[str, float | None]:
    """Accuracies and success of an attack through a defense; right before and after, by image."""
    if not defended:
        return {}
    before, after = np.array(defended, dtype=bool).T
    return {
        "accuracy_defended_before": float(before.mean()),
        "accuracy_defended": float(after.mean()),
        "success_defended": float(1 - after[before].mean()) if before.any() else None,
    }


def _row(entry: Mapping[str, Any]) -> tuple[bool, bool, bool, bool, float, float, float]:
    """One image's numbers; d counts as 0 for a black image, for which it is infinite."""
    return (
        entry["prediction_before"] == entry["label"],
        entry["success_float"],
        entry["success"],
        entry["nothing_found"],
        entry["d"] or 0.0,
        entry["l2"],
        entry["linf"],
    )
