"""The page's sections of charts: each shows the figures of one group."""

from __future__ import annotations

from dataclasses import dataclass

from rsparse.report.figures import (
    ABLATION,
    ACCURACY,
    CERTIFIED,
    TRANSFERRED,
    trained_scenarios,
)
from rsparse.report.subjects import Subjects
from rsparse.report.verdict import describe_scenario


@dataclass(frozen=True)
class ChartSection:
    """A section of the page that has only charts.

    ``key`` is its identifier in the page, ``group`` the ``Figure.group`` that it shows, and
    ``text`` the paragraph above the charts.
    """

    key: str
    group: str
    title: str
    text: str


def chart_sections(subjects: Subjects) -> list[ChartSection]:
    """All sections of charts in the page's order; the page leaves out those without a figure."""
    main = subjects.main_scenario
    return [
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
        ),
        *(
            ChartSection(
                f"figures-{number}",
                scenario,
                scenario.replace("-", " ").capitalize(),
                f"Top-1 accuracy in per cent: {describe_scenario(subjects, scenario)}. All "
                "defenses are used with the same trained model, whatever it was trained on.",
            )
            for number, scenario in enumerate(trained_scenarios(subjects))
        ),
        ChartSection(
            "transfer",
            TRANSFERRED,
            "Transfer",
            "Each attack at its largest strength: top-1 accuracy of "
            f"{subjects.evaluation.model} with Wilson’s 95 % intervals.",
        ),
        ChartSection(
            "certified",
            CERTIFIED,
            "Certified radii",
            "Share of the images, in per cent, whose right class no change within an L2 radius can "
            "take away, by randomized smoothing; pixels in [0, 1]. The smoothed classifier behind "
            "the denoiser named in the figure is certified, not the defenses of this page.",
        ),
    ]
