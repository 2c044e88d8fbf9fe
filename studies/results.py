"""Every defense against every attack on real classifiers, into docs/results/ and its page.

    python -m studies.results --shared ../shared --work bench-work/results [--dry-run]

This module runs the plans of ``plans.py`` as ``rsparse evaluate`` does; the first run takes hours.
It reuses what the work folder holds, so an interrupted run continues. ``--dry-run`` prints the
remaining work and its estimated time. ``--only`` names the plans to run; the tables of other plans
are written from the work folder, or do not change. The two plans of retrained classifiers run only
if ``--only`` names them. ``--without comdefend`` omits a kind of defense. ``--device`` sets the
device of attacks and trainings.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks import measure
from rsparse.cli.console import progress_bar
from rsparse.commands.evaluate.estimate import estimate_cost
from rsparse.commands.evaluate.evaluate import run_matrix
from rsparse.commands.evaluate.layout import Matrix
from rsparse.evaluation.files import EVALUATION_FILE
from rsparse.evaluation.loading import load_evaluation
from studies import pages, parts, plans, trainings
from studies.hardware import Computer, add_options, chosen_computer
from studies.sharing import share_images, will_share
from studies.tables import write_rows

PLANS = (*plans.PLANS, *trainings.BASES)


def main() -> int:
    options = _options()
    computer, seconds, failed = chosen_computer(options), 0.0, False
    earlier: list[Matrix] = []
    for name in options.only:
        base = trainings.BASES.get(name)
        if base and not options.dry_run:
            trainings.make(base, options.shared, options.work, computer)
        elif base and not trainings.are_made(base, options.work, computer):
            print(f"{name}: its classifiers have not been trained yet", file=sys.stderr)
            continue
        places = options.shared, options.work
        plan = trainings.plan(name, *places, computer) if base else plans.PLANS[name](*places)
        kept = tuple(d for d in plan.defenses if d.name not in options.without)
        parameters = replace(plan.parameters, device=computer.device)
        matrix = Matrix(replace(plan, defenses=kept, parameters=parameters), computer.workers)
        shared = will_share(matrix, earlier)
        cost = estimate_cost(matrix, computer.workers, given=shared)
        earlier.append(matrix)
        left = cost.attack_seconds + cost.judge_seconds
        seconds += left
        print(
            f"{name}: {cost.attacks_left} attacks, {cost.trials_left} of {cost.trials} trials to "
            f"do, about {left / 60:.0f} min on {cost.cores} cores", file=sys.stderr,
        )  # fmt: skip
        if not options.dry_run:
            start = time.monotonic()
            share_images(matrix)
            with progress_bar() as progress:
                outcome = run_matrix(matrix, workers=computer.workers, progress=progress)
            took = (time.monotonic() - start) / 60
            print(f"{name}: {outcome.done} trials took {took:.1f} min", file=sys.stderr)
            failed |= bool(outcome.failed)
    print(f"all: about {seconds / 60:.0f} min", file=sys.stderr)
    if not options.dry_run:
        _write(options.docs, options.work, computer)
    return int(failed)


def _write(docs: Path, work: Path, computer: Computer) -> None:
    """Write the tables of all parts in the work folder, and the pages."""
    machine = measure.machine()
    if computer.is_on_gpu:
        on_gpu = "attacks, classifiers, RegionSparse, ComDefend"
        machine = f"{computer.name} for {on_gpu}; for all else {machine}"
    figures = trainings.all_figures(work)
    for name in PLANS:
        if (work / name / EVALUATION_FILE).exists():
            found = load_evaluation(work / name)
            made = parts.tables_of(name, found, machine, figures.get(trainings.BASES.get(name), {}))
            for file, rows in made.items():
                write_rows(docs / "results" / name / f"{file}.csv", rows)
    for page in pages.PAGES:
        (docs / f"{page}.md").write_text(pages.render(page, docs), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder for the evaluations")
    add_options(parser)
    parser.add_argument(
        "--only", nargs="+", choices=PLANS, default=[*plans.PLANS], help="run these plans"
    )
    parser.add_argument("--without", nargs="+", default=[], metavar="KIND", help="omit defenses")
    parser.add_argument("--dry-run", action="store_true", help="print the estimated time and stop")
    parser.add_argument("--docs", type=Path, default=pages.DOCS, help="folder of tables and pages")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
