"""Search for a setting of the method that reaches the paper's figures, into docs/results/paper/.

    python -m studies.paper.search --shared ../shared --work bench-work/paper/search

``space.toml`` declares the settings and the steps. The photographs of ``train/`` choose by
successive halving: each step judges the remaining settings on more photographs and under more
attacks, and keeps the best by the mean over attacks and the best under each attack. What remains
best in each column of Table II is judged once on ``photos/``. The attacks are gray-box, so they do
not depend on the setting and are made once. The work folder keeps everything; an interrupted run
continues. Equal inputs give equal tables for any ``--jobs``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
from numpy.typing import NDArray

from benchmarks import measure
from rsparse.commands.learn_dict import learn_dict
from rsparse.evaluation.estimates import percent
from rsparse.evaluation.plan import parse_attacks
from rsparse.evaluation.statistics import share
from rsparse.work.workers import LocalWorkers
from studies.chunks import CLEAN, Photographs
from studies.comparisons import paper_table
from studies.pages import DOCS
from studies.paper.space import Rung, Setting, Space, load_space
from studies.plans import TABLE_TWO_STRENGTHS, model
from studies.tables import Row, read_rows, write_rows

LEARNED = slice(0, None, 32)  # photographs of train/ for the dictionaries
CHOOSING = slice(2, None, 8)  # others, by which settings are chosen
N_CHUNKS = 20  # of them, 5 or 6 each
JUDGED_CHUNKS = 8  # of photos/, by which what was chosen is judged once; 25 each
FAST_CHUNKS = 2  # of them with --fast
Means = NDArray[np.float64]


def main() -> None:
    options = _options()
    space = load_space(fast=options.fast)
    settings = space.settings()
    train, photos = (_photographs(options, settings, part) for part in ("train", "photos"))
    rows, chosen = halving(space, settings, train, options.jobs)
    chunks = range(FAST_CHUNKS if options.fast else JUDGED_CHUNKS)
    final = judged_once(photos, chosen, space.paper, chunks, options.jobs)
    tables = {
        "search": rows,
        "search-chosen": list(chosen_rows(photos.columns, chosen, final)),
        "search-about": list(_about(options, space, settings, (train, photos))),
    }
    for name, found in tables.items():
        write_rows(options.docs / "results" / "paper" / f"{name}.csv", found)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder for the artifacts")
    parser.add_argument("--model", default="mobilenet-v2", help="a classifier of plans.py")
    parser.add_argument("--fast", action="store_true", help="the same on fewer photographs")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of the tables")
    return parser.parse_args()


def _photographs(
    options: argparse.Namespace, settings: Sequence[Setting], part: str
) -> Photographs:
    """The photographs of ``train/`` or ``photos/`` under the attacks of Table II."""
    taken, n_chunks = {
        "train": (CHOOSING, N_CHUNKS),
        "photos": (slice(None), JUDGED_CHUNKS),
    }[part]
    return Photographs(
        options.shared / part,
        taken,
        model(options.shared, options.model),
        parse_attacks(list(TABLE_TWO_STRENGTHS)),
        dictionaries(settings, options.shared, options.work, options.jobs),
        options.work,
        n_chunks,
    )


def dictionaries(
    settings: Sequence[Setting], shared: Path, work: Path, jobs: int
) -> Mapping[str, Path]:
    """The dictionary of each setting; missing ones are learned from some photographs."""
    train = shared / "train"
    images = [train / row["file"] for row in read_rows(train / "labels.csv")[LEARNED]]
    made = {}
    for name, learning in sorted({s.dictionary: s.learning for s in settings}.items()):
        made[name] = work / "dictionaries" / f"{name}.h5"
        if not made[name].exists():
            made[name].parent.mkdir(parents=True, exist_ok=True)
            learn_dict(images, made[name], learning, workers=LocalWorkers(jobs))
    return made


def halving(
    space: Space, settings: Sequence[Setting], photographs: Photographs, jobs: int
) -> tuple[list[Row], dict[str, Setting]]:
    """Choose settings step by step.

    Returns
    -------
    rows : list of Row
        Each setting with its last figures, the ones that came furthest first.
    chosen : dict of str to Setting
        The best setting of each column, and of the mean of the attacked ones.
    """
    remaining, found = list(settings), {}
    columns: Sequence[str] = ()
    for number, rung in enumerate(space.rungs, start=1):
        columns = rung.columns or photographs.columns
        right = judge(photographs, remaining, range(rung.chunks), columns, jobs)
        means = np.array([right[setting].mean(axis=1) for setting in remaining])
        n = right[remaining[0]].shape[1]
        for setting, mean in zip(remaining, means, strict=True):
            found[setting] = (number, n, dict(zip(columns, mean, strict=True)))
        if number < len(space.rungs):
            remaining = [remaining[place] for place in survivors(means, columns, rung)]
    best = {"mean": int(attacked_mean(means, columns).argmax())}
    best |= {column: int(means[:, place].argmax()) for place, column in enumerate(columns)}
    rows = [_row(setting, *found[setting], photographs.columns) for setting in settings]
    rows.sort(key=lambda row: (-int(row["rung"]), -float(row["mean"])))
    return rows, {column: remaining[place] for column, place in best.items()}


def judge(
    photographs: Photographs,
    settings: Sequence[Setting],
    chunks: Sequence[int],
    columns: Sequence[str],
    jobs: int,
) -> dict[Setting, NDArray[np.bool_]]:
    """Which photographs of these chunks are right with each setting, (columns, n)."""
    columns = columns or photographs.columns
    for chunk in chunks:  # once, before the processes need them
        for column in columns:
            photographs.images(chunk, column)
    distinct = list(dict.fromkeys(settings))
    some = [distinct[start::jobs] for start in range(jobs)]
    parts = joblib.Parallel(n_jobs=jobs)(
        joblib.delayed(_judge)(photographs.alone(), own, list(chunks), columns) for own in some
    )
    found = {setting: flags for part in parts for setting, flags in part.items()}
    return {setting: found[setting] for setting in distinct}


def _judge(
    photographs: Photographs,
    settings: Sequence[Setting],
    chunks: Sequence[int],
    columns: Sequence[str],
) -> dict[Setting, NDArray[np.bool_]]:
    return {
        setting: np.concatenate(
            [photographs.right(chunk, setting.defense, columns) for chunk in chunks], axis=1
        )
        for setting in settings
    }


def attacked_mean(means: Means, columns: Sequence[str]) -> Means:
    """The mean over the attacked columns of each setting; ``means`` is (settings, columns)."""
    attacked = [place for place, column in enumerate(columns) if column != CLEAN]
    return means[:, attacked].mean(axis=1)


def survivors(means: Means, columns: Sequence[str], rung: Rung) -> list[int]:
    """The numbers of the settings that remain: the best of each column, then by the mean.

    Of equal settings, the first one in the list counts as better.
    """
    best = list(dict.fromkeys(int(place) for place in means.argmax(axis=0)))
    order = np.argsort(-attacked_mean(means, columns), kind="stable")
    others = [int(place) for place in order if place not in best]
    return sorted([*best, *others][: max(rung.keep, len(best))])


def _row(
    setting: Setting, rung: int, n: int, means: Mapping[str, float], columns: Sequence[str]
) -> Row:
    named = np.array([list(means.values())])
    return {
        "dictionary": setting.dictionary,
        "defense": setting.defense.spec,
        "rung": str(rung),
        "photographs": str(n),
        "mean": percent(attacked_mean(named, list(means))[0]),
        **{column: percent(means[column]) if column in means else "" for column in columns},
    }


class Final(NamedTuple):
    """What is right on the photographs that judge what was chosen.

    Attributes
    ----------
    best : dict of str to bool array of shape (n,)
        With the setting that was chosen for each column, in that column.
    mean, form : bool arrays of shape (columns, n)
        With the setting that was chosen for the mean, and with the paper's form.
    """

    best: dict[str, NDArray[np.bool_]]
    mean: NDArray[np.bool_]
    form: NDArray[np.bool_]


def judged_once(
    photographs: Photographs,
    chosen: Mapping[str, Setting],
    form: Setting,
    chunks: Sequence[int],
    jobs: int,
) -> Final:
    """Judge each chosen setting in its column, and that of the mean and the paper's form in all."""
    best = {
        column: judge(photographs, [chosen[column]], chunks, [column], jobs)[chosen[column]][0]
        for column in photographs.columns
    }
    whole = judge(photographs, [chosen["mean"], form], chunks, (), jobs)
    return Final(best, whole[chosen["mean"]], whole[form])


def chosen_rows(
    columns: Sequence[str], chosen: Mapping[str, Setting], final: Final
) -> Iterator[Row]:
    """Of each column, the paper's figure and the setting chosen for it, with its interval.

    ``form`` are the figures of the paper's form.
    """
    target = paper_table()["RegionSparse"]
    for place, column in enumerate(columns):
        found = share(final.best[column])
        yield {
            "column": column,
            "paper": target[column],
            "dictionary": chosen[column].dictionary,
            "defense": chosen[column].defense.spec,
            "best": percent(found.value),
            "low": percent(found.low),
            "high": percent(found.high),
            "form": percent(final.form[place].mean()),
        }
    yield {
        "column": "mean",
        "dictionary": chosen["mean"].dictionary,
        "defense": chosen["mean"].defense.spec,
        "best": percent(attacked_mean(final.mean.mean(axis=1)[None], columns)[0]),
        "form": percent(attacked_mean(final.form.mean(axis=1)[None], columns)[0]),
    }


def _about(
    options: argparse.Namespace,
    space: Space,
    settings: Sequence[Setting],
    photographs: tuple[Photographs, Photographs],
) -> Iterator[Row]:
    """What was run."""
    train, photos = photographs
    judged_chunks = FAST_CHUNKS if options.fast else JUDGED_CHUNKS
    steps = [
        f"{sum(len(train.labels(chunk)) for chunk in range(rung.chunks))} photographs, "
        f"{len(rung.columns or train.columns)} columns"
        for rung in space.rungs
    ]
    found = {
        "model": options.model,
        "settings": str(len(settings)),
        "dictionaries": str(len({setting.dictionary for setting in settings})),
        "learned_from": str(len(read_rows(options.shared / "train" / "labels.csv")[LEARNED])),
        "steps": "; ".join(steps),
        "kept": ", ".join(str(rung.keep) for rung in space.rungs[:-1]),
        "judged_on": str(sum(len(photos.labels(chunk)) for chunk in range(judged_chunks))),
        "machine": measure.machine(),
    }
    for key, value in found.items():
        yield {"key": key, "value": value}


if __name__ == "__main__":
    main()
