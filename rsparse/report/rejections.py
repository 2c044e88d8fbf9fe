"""What a detector before the defenses leaves, as a table."""

from __future__ import annotations

from rsparse.detection.evasion import EVASION
from rsparse.evaluation import rejections
from rsparse.report.subjects import Subjects
from rsparse.report.tables import Table, Value, share_value, table_defenses

REJECTIONS = "rejections"
TITLE = "With a detector before the defense"


def about(subjects: Subjects) -> str:
    """What the tables show, and what an attacker who knows the detector leaves of it."""
    detector = subjects.evaluation.detector or {}
    level = 100 * float(detector.get("false_alarms", 0))
    return (
        "The detector sees each image before the defense and may reject it; a rejected image is "
        f"neither right nor does it fool. At most {level:g} % of clean images like those of its "
        "reference are rejected; how many of these clean images are is in the table. No attack of "
        f"this page knows the detector. {EVASION}"
    )


def rejected(subjects: Subjects, scenario: str) -> Table | None:
    """Clean images and each attack behind the main defenses; None without a detector."""
    clean = subjects.clean_of(scenario)
    columns = [*([] if clean is None else [clean]), *subjects.columns(scenario)]
    defenses = table_defenses(subjects, scenario)
    found = list(rejections.examined(subjects.evaluation, columns, defenses))
    if not found:
        return None
    return Table(
        ("attack", "defense", "right, accepted", "wrong, accepted", "rejected"),
        tuple(
            (
                Value(column.attack, column.attack),
                Value(defense.text, defense.text),
                *map(share_value, shares),
            )
            for column, defense, shares in found
        ),
        (False, False, True, True, True),
        tuple(defense is subjects.judged for _, defense, _ in found),
    )


def all_rejected(subjects: Subjects) -> dict[str, Table]:
    """The tables by scenario; none without a detector."""
    tables = {scenario: rejected(subjects, scenario) for scenario in subjects.scenarios}
    return {scenario: table for scenario, table in tables.items() if table is not None}
