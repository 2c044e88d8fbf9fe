"""What the defenses did to the images of each column."""

from __future__ import annotations

from rsparse.evaluation.results import Column, JudgedDefense
from rsparse.evaluation.treated import Treated
from rsparse.report.subjects import Subjects
from rsparse.report.tables import Table, Value

TREATMENTS = "treatments"
TREATMENTS_TITLE = "What was done to the images"
TREATMENTS_TEXT = (
    "The number of images by what the defense did to them; the rules of a policy are counted from "
    "1. PSNR is the mean over the changed images, from the image to the clean one."
)


def what_was_done(subjects: Subjects) -> Table | None:
    """One row for each column and each judged policy, else the judged defense.

    None if the evaluation does not tell what was done.
    """
    told = [
        (column, defense, trial.treated)
        for defense in _shown(subjects)
        for column in subjects.evaluation.columns
        if (trial := subjects.evaluation.trial(column, defense)) is not None
        and trial.treated is not None
    ]
    if not told:
        return None
    present = {text for _, _, treated in told for text in treated.counts()}
    texts = [text for text in told[0][2].texts if text in present]
    adaptive = any(column.through for column, _, _ in told)
    header = ("defense", "scenario", *["through"] * adaptive, "attack", "judged by")
    numbers = (*texts, "unchanged", "PSNR, dB")
    return Table(
        (*header, *numbers),
        tuple(_row(*each, texts, adaptive) for each in told),
        (*[False] * len(header), *[True] * len(numbers)),
    )


def _shown(subjects: Subjects) -> list[JudgedDefense]:
    """The policies, and the judged defense."""
    defenses = subjects.evaluation.defenses
    return [d for d in defenses if "policy" in d.kind.split("+") or d is subjects.judged]


def _row(
    column: Column, defense: JudgedDefense, treated: Treated, texts: list[str], adaptive: bool
) -> tuple[Value, ...]:
    words = [defense.text, column.scenario, *[column.through] * adaptive]
    counts, psnr = treated.counts(), treated.mean_psnr
    numbers = [*(counts.get(text, 0) for text in texts), treated.unchanged]
    return (
        *(Value(word, word) for word in (*words, column.attack, column.judged)),
        *(Value(f"{number}", float(number)) for number in numbers),
        Value("–", -1.0) if psnr is None else Value(f"{psnr:.1f}", psnr),
    )
