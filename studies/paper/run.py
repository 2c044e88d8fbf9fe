"""Run the parts of ``make paper``, and write their tables and the page."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measure
from rsparse.cli.console import progress_bar
from rsparse.commands.evaluate.estimate import estimate_cost
from rsparse.commands.evaluate.evaluate import run_matrix
from rsparse.commands.evaluate.layout import Matrix
from rsparse.defenses import parse_defenses
from rsparse.evaluation.files import EVALUATION_FILE
from rsparse.evaluation.loading import load_evaluation
from rsparse.evaluation.plan import Plan
from rsparse.evaluation.results import Evaluation
from rsparse.report.subjects import UNDEFENDED, find_subjects
from studies import comparisons, inception_activations, pages, tables, trainings
from studies.hardware import Computer
from studies.paper.cells import cells, counts, measured
from studies.paper.figures import (
    DICTIONARIES,
    FORM,
    PLANS,
    Cast,
    Places,
    learned,
    name_of,
    retrained,
    table_two_trained,
    texts,
)
from studies.paper.minutes import add_minutes, minutes_of
from studies.plans import model, text_of
from studies.recipes import (
    EVERY,
    FGSM_ADVERSARIAL,
    Retraining,
    Training,
    adversarial,
    behind_each,
)
from studies.sharing import share_images, will_share
from studies.tables import Row, read_rows, write_rows

FIGURE_ONE, RETRAINED, TRAINED = "figure-1", "retrained", "table-two-trained"
PARTS = (FIGURE_ONE, *PLANS, RETRAINED, TRAINED)
PAGE = "paper-figures"
SEARCHED = Path("results") / "paper" / "search-chosen.csv"
SHOWN_PHOTOS = 12  # of Fig. 1 and 3


@dataclass(frozen=True)
class Run:
    """A run on some classifiers and photographs."""

    cast: Cast
    places: Places
    computer: Computer
    retraining: Retraining = EVERY

    def estimate(self, parts: Sequence[str]) -> int:
        """Print the remaining work of each part and its time."""
        seconds, earlier = 0.0, list[Matrix]()
        for name, plan in self._plans(parts):
            if not all(threat.judged.path.exists() for threat in plan.threats):
                print(f"{name}: can be estimated once it is trained", file=sys.stderr)
                continue
            matrix = Matrix(plan, self.computer.workers)
            shared = will_share(matrix, earlier)
            cost = estimate_cost(matrix, self.computer.workers, given=shared)
            earlier.append(matrix)
            own = cost.attack_seconds + cost.judge_seconds
            seconds += own
            print(
                f"{name}: {cost.attacks_left} attacks, {cost.trials_left} of {cost.trials} trials "
                f"to do, about {own / 60:.0f} min on {cost.cores} cores", file=sys.stderr,
            )  # fmt: skip
        seconds += self._estimate_trainings(parts)
        print(f"all: about {seconds / 60:.0f} min", file=sys.stderr)
        return 0

    def _estimate_trainings(self, parts: Sequence[str]) -> float:
        """The time of the trainings that are missing, by that of an epoch in docs/results/."""
        known = read_rows(pages.DOCS / "results" / "retrained-mobilenet-v2" / "training.csv")[0]
        each = float(known["wall_seconds_an_epoch"])
        seconds = 0.0
        for name, training in self._trainings(parts).items():
            path = trainings.path_of(self.places.work, self.cast.retrained, name)
            own = 0.0 if path.exists() else each * training.parameters.epochs
            seconds += own
            print(
                f"retrain {name}: about {own / 60:.0f} min for MobileNet-v2 on "
                f"{known['photographs']} photographs ({known['device']}), several times that for "
                "Inception-v3", file=sys.stderr,
            )  # fmt: skip
        return seconds

    def make(self, parts: Sequence[str], docs: Path) -> int:
        """Make the parts and write their tables."""
        failed = False
        if FIGURE_ONE in parts:
            self._figure_one(docs)
        self._train(parts)
        for name, plan in self._plans(parts):
            failed |= self._run(name, plan)
        self.write(docs)
        return int(failed)

    def _run(self, name: str, plan: Plan) -> bool:
        """Run a part; return whether some of its images failed."""
        matrix, outcome = Matrix(plan, self.computer.workers), None
        start = time.monotonic()
        try:
            share_images(matrix)
            with progress_bar() as progress:
                outcome = run_matrix(matrix, workers=self.computer.workers, progress=progress)
        finally:
            took = (time.monotonic() - start) / 60
            if outcome is None or outcome.done:
                add_minutes(self.places.work, plan.output.name, took)
        print(f"{name}: {outcome.done} trials took {took:.1f} min", file=sys.stderr)
        return bool(outcome.failed)

    def write(self, docs: Path) -> None:
        """Write the tables of all parts in the work folder, and the page."""
        place = docs / "results" / "paper"
        place.mkdir(parents=True, exist_ok=True)
        for folder in sorted(self.places.work.iterdir()):
            if (folder / EVALUATION_FILE).exists():
                found = load_evaluation(folder)
                for file, rows in self.tables_of(folder.name, found, docs).items():
                    write_rows(place / folder.name / f"{file}.csv", rows)
        claims = docs / "results" / "paper-claims.csv"
        if not claims.exists():
            shutil.copy(pages.DOCS / "results" / "paper-claims.csv", claims)
        (docs / f"{PAGE}.md").write_text(pages.render(PAGE, docs), encoding="utf-8")

    def tables_of(self, name: str, evaluation: Evaluation, docs: Path) -> Mapping[str, list[Row]]:
        """The tables of a part."""
        judged = {defense.text for defense in evaluation.defenses}
        form = text_of(FORM) if text_of(FORM) in judged else UNDEFENDED
        subjects = find_subjects(evaluation, form)  # each other defense is compared with the best
        found = {
            "accuracy": list(tables.accuracy(subjects)),
            "defenses": list(tables.defenses(subjects)),
            "failed-checks": list(tables.failed_checks(evaluation)),
        }
        facts: dict[str, str] = {}
        if name == "gray-box" and set(texts().values()) <= judged:
            found["ablations"] = list(comparisons.ablations(evaluation, texts()))
        if name.startswith(RETRAINED):
            found["gains"] = list(comparisons.gains_by_retraining(find_subjects(evaluation)))
        if name in ("table-two", TRAINED):
            known = measured(found["accuracy"], len(evaluation.names))
            judged = self.cast.retrained if name == TRAINED else self.cast.judged
            found["cells"] = rows = list(cells(known, _searched(docs, judged)))
            facts = {mark.replace(" ", "_"): str(n) for mark, n in counts(rows).items()}
        trained = FGSM_ADVERSARIAL if name == TRAINED else name.removeprefix(f"{RETRAINED}-")
        path = trainings.path_of(self.places.work, self.cast.retrained, trained)
        if path.exists():
            facts |= {
                key: str(value) for key, value in trainings.figures_of(path)._asdict().items()
            }
        took = minutes_of(self.places.work)
        facts |= {"minutes": f"{took[name]:.0f}"} if name in took else {}
        found["about"] = tables.about(evaluation, measure.machine(), facts)
        return found

    def _figure_one(self, docs: Path) -> None:
        subject = inception_activations.Subject(
            self.places.shared,
            self.places.work / FIGURE_ONE,
            model(self.places.shared, self.cast.judged),
        )
        rows = inception_activations.measured(subject, SHOWN_PHOTOS, gamma=0.0)
        write_rows(docs / "results" / "paper" / "activations.csv", rows)

    def _trainings(self, parts: Sequence[str]) -> Mapping[str, Training]:
        """The trainings that these parts need, by the name of the classifier."""
        base, found = self.cast.retrained, {}
        if RETRAINED in parts:
            behind = behind_each(base, self.retraining)
            found |= {name_of(defense): training for defense, training in behind.items()}
        if TRAINED in parts:
            found[FGSM_ADVERSARIAL] = adversarial(base, self.retraining)
        return found

    def _train(self, parts: Sequence[str]) -> None:
        wanted = self._trainings(parts)
        purified = parse_defenses([text for each in wanted.values() for text in each.purified])
        for name in sorted({name for defense in purified for name in defense.dictionaries}):
            learned(self.places, name)  # else the trainings would learn it from all photographs
        for name, training in wanted.items():
            trainings.trained_by(
                training, self.cast.retrained, name, self.places.shared,
                self.places.work, self.computer, DICTIONARIES,
            )  # fmt: skip

    def _plans(self, parts: Sequence[str]) -> Iterator[tuple[str, Plan]]:
        for name, make_plan in PLANS.items():
            if name in parts:
                yield name, make_plan(self.cast, self.places)
        if RETRAINED in parts:
            for name, plan in retrained(self.cast, self.places, self.retraining).items():
                yield f"retrained behind {name}", plan
        if TRAINED in parts:
            yield TRAINED, table_two_trained(self.cast, self.places)


def _searched(docs: Path, judged: str) -> list[Row]:
    """What the search chose, if it was on this classifier."""
    about = (docs / SEARCHED).with_name("search-about.csv")
    if not about.exists():
        return []
    of = {row["key"]: row["value"] for row in read_rows(about)}
    return read_rows(docs / SEARCHED) if of["model"] == judged else []
