"""Every defense against every attack on real classifiers, into ``docs/results.md``.

    python -m studies.results --shared ../shared --work bench-work/results [--dry-run]

Runs the plans of ``plans.py`` by what ``rsparse evaluate`` does, hours the first time; what the
work folder holds is not made again, so an interrupted run goes on. ``--dry-run`` tells what is left
to do and how long it will take, and stops. ``--only`` names the plans to run; of the others the
report says what the work folder holds, or stays as it was. The plans ``trained``, an
estimated two hours, and ``trained-inception-v3``, four, run only where it names them.
``--without comdefend`` leaves out a kind of defense. ``--device`` says where attacks and trainings
are computed.
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
from rsparse.evaluation.files import EVALUATION_FILE, load_evaluation
from studies import computing, plans, results_text, trainings
from studies.sharing import share_images

PLANS = (*plans.PLANS, *trainings.BASES)
SAME_IMAGES = {  # by plan: others of the same photographs and classifier
    "chains": ("mobilenet-v2",),
    "trained": ("mobilenet-v2", "chains"),
    "trained-inception-v3": ("inception-v3",),
}
REPORT = Path(__file__).resolve().parent.parent / "docs" / "results.md"


def main() -> int:
    options = _options()
    how, seconds, failed = computing.chosen(options), 0.0, False
    for name in options.only:
        base = trainings.BASES.get(name)
        if base and not options.dry_run:
            trainings.make(base, options.shared, options.work, how)
        elif base and not trainings.are_made(base, options.work, how):
            print(f"{name}: its classifiers have not been trained yet", file=sys.stderr)
            continue
        places = options.shared, options.work
        plan = trainings.plan(name, *places, how) if base else plans.PLANS[name](*places)
        for other in SAME_IMAGES.get(name, ()) if not options.dry_run else ():
            share_images(options.work / other, plan.output)
        kept = tuple(d for d in plan.defenses if d.name not in options.without)
        parameters = replace(plan.parameters, device=how.device)
        matrix = Matrix(replace(plan, defenses=kept, parameters=parameters), how.workers)
        cost = estimate_cost(matrix, how.workers)
        left = cost.attack_seconds + cost.judge_seconds
        seconds += left
        print(
            f"{name}: {cost.attacks_left} attacks, {cost.trials_left} of {cost.trials} trials to "
            f"do, about {left / 60:.0f} min on {cost.cores} cores", file=sys.stderr,
        )  # fmt: skip
        if not options.dry_run:
            start = time.monotonic()
            with progress_bar() as progress:
                outcome = run_matrix(matrix, workers=how.workers, progress=progress)
            took = (time.monotonic() - start) / 60
            print(f"{name}: {outcome.done} trials took {took:.1f} min", file=sys.stderr)
            failed |= bool(outcome.failed)
    print(f"all: about {seconds / 60:.0f} min", file=sys.stderr)
    if not options.dry_run:
        _write(options.output, options.work, how)
    return int(failed)


def _write(output: Path, work: Path, how: computing.Computing) -> None:
    """The report, of what the work folder holds."""
    found = {
        name: load_evaluation(work / name)
        for name in PLANS
        if (work / name / EVALUATION_FILE).exists()
    }
    before = output.read_text(encoding="utf-8") if output.exists() else ""
    machine = measure.machine()
    if how.is_on_gpu:
        machine = (
            f"{how.name} for attacks, classifiers, RegionSparse, ComDefend; for all else {machine}"
        )
    text = results_text.render(found, machine, trainings.all_figures(work), before)
    output.write_text(text, encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder for the evaluations")
    computing.add_options(parser)
    parser.add_argument(
        "--only", nargs="+", choices=PLANS, default=[*plans.PLANS], help="run these plans"
    )
    parser.add_argument("--without", nargs="+", default=[], metavar="KIND", help="leave it out")
    parser.add_argument("--dry-run", action="store_true", help="tell the cost, and stop")
    parser.add_argument("-o", "--output", type=Path, default=REPORT, help="the report")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
