"""What retraining adds, behind one setting and behind others, for docs/results.md."""

from __future__ import annotations

from collections.abc import Iterator

from rsparse.evaluation.estimates import paired_difference, per_image, percent, points, share
from rsparse.evaluation.results import BLACK_BOX, EXTENDED_GRAY_BOX, GRAY_BOX, Column, Defended
from rsparse.report.subjects import Subjects, find_subjects
from rsparse.report.table_two import tables_two
from studies import table_two_text
from studies.lines import head, row, verdict
from studies.paper import STRENGTHS
from studies.plans import OURS, text_of
from studies.recipes import SETTINGS

STRONG = {"eps": 10.0, "d": 0.05}  # the least that the targets call strong
WANTED_GAIN, WANTED_CLEAN = 0.1, 0.84


def render(subjects: Subjects) -> Iterator[str]:
    """The targets, and the same gains behind other settings."""
    ours, clean = subjects.judged, subjects.clean_of(BLACK_BOX)
    assert ours is not None
    assert clean is not None
    yield "\n### What retraining adds\n"
    yield from head(["wanted", "found", ""])
    for scenario in (BLACK_BOX, EXTENDED_GRAY_BOX):
        n = len(strong_columns(subjects, scenario))
        text, gain = _gain(subjects, scenario, ours, ours)
        yield row([
            f"{scenario}: at least 10 points more than gray-box on the mean of the {n} strong "
            "columns (L∞ ≥ 10, d ≥ .05)", text, verdict(gain >= WANTED_GAIN),
        ])  # fmt: skip
    kept = share(subjects.evaluation, clean, ours).value
    yield row([
        "clean accuracy after distilling on purified images at least 84 % of what was right",
        f"{percent(kept)} %", verdict(kept >= WANTED_CLEAN),
    ])  # fmt: skip
    yield from table_two_text.targets(subjects)
    n = len(strong_columns(subjects, GRAY_BOX, at_table_two=True))
    if n < len(strong_columns(subjects, GRAY_BOX)):
        yield from _at_table_two(subjects, n)
    yield from _beside_default(subjects)
    yield from _behind_others(subjects)


def _at_table_two(subjects: Subjects, n: int) -> Iterator[str]:
    """The gains on those ``n`` of the strong columns that the paper's table has."""
    ours = subjects.judged
    assert ours is not None
    gains = ", ".join(
        f"{scenario} {_gain(subjects, scenario, ours, ours, at_table_two=True)[0]}"
        for scenario in (BLACK_BOX, EXTENDED_GRAY_BOX)
    )
    yield f"\nOf the strong columns, on the mean of the {n} at Table II's strengths alone: {gains}."


def _beside_default(subjects: Subjects) -> Iterator[str]:
    """The same gains with the default dictionary before the original, and before both."""
    ours = subjects.judged
    assert ours is not None
    default = next(d for d in subjects.evaluation.defenses if d.text == text_of(OURS))
    yield (
        "\nBeside the original behind the default dictionary, by which all other parts of this "
        "page are, and on the same columns:\n"
    )
    yield from head(["scenario", "before the original", "before the retrained one", "found"])
    for scenario in (BLACK_BOX, EXTENDED_GRAY_BOX):
        for after in (ours, default):
            text, _ = _gain(subjects, scenario, default, after)
            yield row([scenario, default.text, after.text, text])


def strong_columns(subjects: Subjects, scenario: str, at_table_two: bool = False) -> list[Column]:
    return [
        column
        for column in subjects.columns(scenario)
        if column.strength is not None
        and column.strength >= STRONG[column.strength_name]
        and (not at_table_two or column.strength in STRENGTHS[column.family])
    ]


def _gain(
    subjects: Subjects,
    scenario: str,
    before: Defended,
    after: Defended,
    at_table_two: bool = False,
) -> tuple[str, float]:
    """What a retrained judge behind a defense adds to gray-box, on the mean of strong columns.

    ``before`` stands before the original, ``after`` before the retrained one.
    """
    means = [
        per_image(subjects.evaluation, defense, strong_columns(subjects, s, at_table_two))
        for s, defense in ((scenario, after), (GRAY_BOX, before))
    ]
    gain = paired_difference(*means)
    return (
        f"{percent(means[0].mean())} % against {percent(means[1].mean())} %: "
        f"{points(gain.value)} points ({points(gain.low)} to {points(gain.high)})"
    ), gain.value


def _behind_others(subjects: Subjects) -> Iterator[str]:
    """The targets where another setting stands before all models."""
    assert subjects.judged is not None
    judged = {defense.text for defense in subjects.evaluation.defenses}
    wanted = dict.fromkeys([subjects.judged.text, *map(text_of, SETTINGS), text_of(OURS)])
    yield "\nThe same targets with other settings before all models:\n"
    order = ["Table II's order"] if tables_two(subjects) else []
    yield from head(["before all", "clean", BLACK_BOX, EXTENDED_GRAY_BOX, *order])
    for text in wanted:
        if text in judged:
            yield row([text, *_behind(find_subjects(subjects.evaluation, text))])


def _behind(subjects: Subjects) -> Iterator[str]:
    ours, clean = subjects.judged, subjects.clean_of(BLACK_BOX)
    assert ours is not None
    assert clean is not None
    yield f"{percent(share(subjects.evaluation, clean, ours).value)} %"
    for scenario in (BLACK_BOX, EXTENDED_GRAY_BOX):
        yield _gain(subjects, scenario, ours, ours)[0]
    if two := tables_two(subjects):
        yield "; ".join(map(table_two_text.holds_in, two))
