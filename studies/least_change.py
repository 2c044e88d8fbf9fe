"""Judge the default policy under attacks of least change and others, into docs/least-change.md.

    python -m studies.least_change --shared ../shared --work bench-work/least-change

This module attacks photographs of ``photos/``, which no choice of a policy has used (gray-box), and
judges the default policy, earlier ones, and other defenses, alone and in chains of two. The work
folder keeps everything; an interrupted run continues.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import measure
from rsparse.defenses import defense_text, parse_defenses
from rsparse.evaluation.estimates import paired_difference, percent
from rsparse.evaluation.plan import parse_attacks
from rsparse.evaluation.statistics import share
from studies.chunks import CLEAN, Photographs, judged
from studies.pages import DOCS, render
from studies.plans import OURS, SPARING, WITHOUT_JPEG, dictionary, model, text_of
from studies.policies import LEAST, Flags
from studies.tables import Row, with_interval, write_rows

ATTACKS = ("deepfool:scale=1,2,4", "fgsm:eps=2,10", "bim:eps=2,10", "mi-fgsm-l2:d=0.01")
SINGLE = ("jpeg:quality=20,40,75,85", "bilateral:sigma-color=30,60")
CHAINS = (
    "bilateral+jpeg:quality=20",
    "bilateral:sigma-color=30+jpeg:quality=40,75",
    "bilateral:sigma-color=60+jpeg:quality=60",  # the best one on training photographs
)
N_CHUNKS = 8  # photographs of a chunk come from all over the list
NAME = "least-change"
DEFENSES = {  # by kind
    "none": ("none",),
    "ours": (OURS, WITHOUT_JPEG, SPARING),
    "single": SINGLE,
    "chain": CHAINS,
}


def main() -> None:
    options = _options()
    photographs = attacked_photographs(options.shared, options.work)
    defenses = {kind: parse_defenses(list(specs)) for kind, specs in DEFENSES.items()}
    kinds = {defense_text(d): kind for kind, some in defenses.items() for d in some}
    by_text = {defense_text(d): d for some in defenses.values() for d in some}
    right = judged(photographs, range(options.chunks), by_text, ()).right
    tables: Mapping[str, Iterator[Row]] = {
        "accuracy": accuracy(photographs.columns, right, kinds),
        "gains": gains(photographs.columns, right, kinds),
        "about": about(right, options.chunks),
    }
    for name, rows in tables.items():
        write_rows(options.docs / "results" / NAME / f"{name}.csv", list(rows))
    (options.docs / f"{NAME}.md").write_text(render(NAME, options.docs), encoding="utf-8")


def attacked_photographs(shared: Path, work: Path) -> Photographs:
    """All photographs, attacked."""
    return Photographs(
        shared / "photos",
        slice(None),
        model(shared, "mobilenet-v2"),
        parse_attacks(list(ATTACKS)),
        {"": dictionary(shared, work, jobs=1)},
        work,
        N_CHUNKS,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder for the artifacts")
    parser.add_argument("--chunks", type=int, default=N_CHUNKS, help="judge only the first ones")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of tables and pages")
    return parser.parse_args()


def groups_of(columns: Sequence[str]) -> dict[str, list[int]]:
    """The numbers of the attacked columns over which means are taken."""
    attacked = [number for number, column in enumerate(columns) if column != CLEAN]
    least = [number for number in attacked if columns[number].startswith(LEAST)]
    return {
        "all": attacked,
        "least change": least,
        "others": [number for number in attacked if number not in least],
    }


def accuracy(
    columns: Sequence[str], right: Mapping[str, Flags], kinds: Mapping[str, str]
) -> Iterator[Row]:
    """Top-1 of each defense in each column, the clean one's interval, and the means."""
    groups = groups_of(columns)
    for name, flags in right.items():
        clean = share(flags[0])
        yield {
            "defense": name,
            "kind": kinds[name],
            **{c: percent(share(row).value) for c, row in zip(columns, flags, strict=True)},
            "clean_low": percent(clean.low),
            "clean_high": percent(clean.high),
            **{group: percent(float(flags[some].mean())) for group, some in groups.items()},
        }


def gains(
    columns: Sequence[str], right: Mapping[str, Flags], kinds: Mapping[str, str]
) -> Iterator[Row]:
    """The default policy and the best other defense of each kind, chosen after the fact.

    The mean of each group of columns is compared image by image.
    """
    ours = right[text_of(OURS)]
    beside = {
        "single": [name for name, kind in kinds.items() if kind == "single"],
        "chain": [name for name, kind in kinds.items() if kind == "chain"],
        "without JPEG": [text_of(WITHOUT_JPEG)],
        "sparing": [text_of(SPARING)],
    }
    for group, some in groups_of(columns).items():
        for kind, names in beside.items():
            best = max(names, key=lambda name: right[name][some].mean())
            means = [flags[some].mean(axis=0) for flags in (ours, right[best])]
            yield {
                "columns": group,
                "n_columns": str(len(some)),
                "kind": kind,
                "other": best,
                "ours_percent": percent(means[0].mean()),
                "other_percent": percent(means[1].mean()),
                **with_interval("difference", paired_difference(*means)),
            }


def about(right: Mapping[str, Flags], chunks: int) -> Iterator[Row]:
    """Photographs, machine, and what was attacked."""
    found = {
        "photographs": str(next(iter(right.values())).shape[1]),
        "chunks": f"{chunks} of {N_CHUNKS}",
        "attacks": "; ".join(ATTACKS),
        "machine": measure.machine(),
    }
    for key, value in found.items():
        yield {"key": key, "value": value}


if __name__ == "__main__":
    main()
