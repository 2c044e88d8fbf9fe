"""An evaluation as test cases for continuous integration: JUnit's XML."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as Xml

from rsparse.evaluation.checks import FAIL, PASS
from rsparse.evaluation.requirements import Outcome
from rsparse.evaluation.results import Check


def render_junit(outcomes: Sequence[Outcome], checks: Sequence[Check]) -> str:
    """The content of ``junit.xml``.

    Parameters
    ----------
    outcomes : sequence of Outcome
        The requirements; one that is not met is a failure.
    checks : sequence of Check
        The checklist of the evaluation; a failed check is a failure, one that was not run or is
        undecided is skipped.
    """
    root = Xml.Element("testsuites", name="rsparse")
    required = _suite(root, "requirements", len(outcomes))
    for outcome in outcomes:
        case = Xml.SubElement(
            required, "testcase", classname="requirements", name=_text(outcome.requirement.text)
        )
        if outcome.is_met:
            Xml.SubElement(case, "system-out").text = _text(outcome.sentence)
        else:
            Xml.SubElement(case, "failure", message=_text(outcome.sentence))
    checked = _suite(root, "checks", len(checks))
    for check in checks:
        name = " · ".join(part for part in (check.name, check.scenario, check.defense) if part)
        case = Xml.SubElement(checked, "testcase", classname="checks", name=_text(name))
        if check.outcome == FAIL:
            Xml.SubElement(case, "failure", message=_text(check.detail))
        elif check.outcome != PASS:
            message = _text(f"{check.outcome}: {check.detail}")
            Xml.SubElement(case, "skipped", message=message)
    for suite in (required, checked):
        for count, tag in (("failures", "failure"), ("skipped", "skipped")):
            suite.set(count, str(len(suite.findall(f"testcase/{tag}"))))
    Xml.indent(root)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"
    )


def _suite(root: Xml.Element, name: str, tests: int) -> Xml.Element:
    return Xml.SubElement(root, "testsuite", name=name, tests=str(tests), errors="0")


def _text(text: str) -> str:
    """The text without characters that XML cannot hold."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
