"""The page's sections of charts: each shows the figures of one group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rsparse.evaluation.names import GRAY_BOX
from rsparse.report.figures import (
    ABLATION,
    ACCURACY,
    CERTIFIED,
    TRANSFERRED,
    Figure,
    ablation_figures,
    accuracy_figures,
    charted_scenarios,
    transfer_figures,
)
from rsparse.report.knowledge import KNOWLEDGE, knowledge_figures
from rsparse.report.subjects import Subjects
from rsparse.report.verdict import describe_scenario

_TRAINED = " All defenses are used with the same trained model, whatever it was trained on."


@dataclass(frozen=True)
class ChartSection:
    """A section of the page that has only charts.

    ``key`` is its identifier in the page, ``group`` the ``Figure.group`` that it shows, and
    ``text`` the paragraph above the charts. Sections that are not ``on_paper`` are only on screen.
    """

    key: str
    group: str
    title: str
    text: str
    on_paper: bool = True


def figures_of(subjects: Subjects) -> list[Figure]:
    """All figures that are drawn from the evaluation alone."""
    return [
        *knowledge_figures(subjects),
        *accuracy_figures(subjects),
        *ablation_figures(subjects),
        *transfer_figures(subjects),
    ]


def chart_sections(subjects: Subjects) -> list[ChartSection]:
    """All sections of charts in the page's order; the page leaves out those without a figure."""
    return [
        *_main_sections(subjects.main_scenario),
        *_other_scenarios(subjects),
        ChartSection(
            "transfer",
            TRANSFERRED,
            "Transfer",
            "Each attack at its largest strength: top-1 accuracy of "
            f"{subjects.evaluation.model} with Wilson’s 95 % intervals.",
            on_paper=False,
        ),
        ChartSection(
            "certified",
            CERTIFIED,
            "Certified radii",
            "Share of the images, in per cent, whose right class no change within an L2 radius can "
            "take away, by randomized smoothing; pixels in [0, 1]. The smoothed classifier behind "
            "the denoiser named in the figure is certified, not the defenses of this page. The "
            "vertical axis ends above the largest share.",
        ),
    ]


def _main_sections(main: str) -> list[ChartSection]:
    """The sections on the main scenario."""
    return [
        ChartSection(
            KNOWLEDGE,
            KNOWLEDGE,
            "What it is worth against an attacker who knows",
            "Top-1 accuracy in per cent under all attacks of the same strength together: an "
            "image counts only if it is right under each. One attacker attacks through the "
            "defense, the other one attacks the undefended model (gray-box).",
        ),
        ChartSection(
            "strength",
            ACCURACY,
            "Accuracy against strength",
            f"Top-1 accuracy in per cent, {main}; strength 0 is the clean image. Shading and "
            "vertical lines are Wilson’s 95 % intervals; series are shifted slightly so that "
            "their intervals do not overlap. In colour: the judged defense, no defense, and the "
            "setting with the best mean of each other kind.",
        ),
        ChartSection(
            "ablation",
            ABLATION,
            "Ablation",
            "The judged setting of RegionSparse and its other settings: top-1 accuracy with 95 % "
            f"intervals, {main}.",
            on_paper=False,
        ),
    ]


def _other_scenarios(subjects: Subjects) -> Iterator[ChartSection]:
    """Gray-box beside an adaptive evaluation, and the scenarios that judge another model."""
    for number, scenario in enumerate(charted_scenarios(subjects)):
        yield ChartSection(
            f"figures-{number}",
            scenario,
            scenario.replace("-", " ").capitalize(),
            f"Top-1 accuracy in per cent: {describe_scenario(subjects, scenario)}."
            + _TRAINED * (scenario != GRAY_BOX),
            on_paper=False,
        )
