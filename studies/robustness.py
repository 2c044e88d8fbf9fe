"""Measure what attackers who know a defense leave, and those who do not, into docs/robustness.md.

    python -m studies.robustness --shared ../shared --work bench-work/robustness

MobileNet-v2 behind each defense of ``PHOTOGRAPHS`` is attacked through that defense by
``adaptive``, and without it (gray-box) by BIM at the same eps. The photographs are the first of
``photos/`` that the classifier gets right; slow defenses see fewer of them, always the first ones.
The whole ``adaptive`` attacks a few behind the default policy, beside the fast one. The work goes
on block by block through all defenses, the slow ones last; the work folder keeps each block, so
that an interrupted run continues. ``--photographs`` and ``--whole`` end it early, and ``--tables``
writes the tables of what is there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import torch

from benchmarks import measure
from rsparse.defenses import parse_defense
from rsparse.defenses.by_noise import ByNoise
from rsparse.evaluation.estimates import percent
from rsparse.evaluation.statistics import share
from studies.attacked_blocks import BLOCK, Block, Blocks, right_photographs, size_of
from studies.pages import DOCS, render
from studies.plans import OURS, PLAIN, dictionary, text_of
from studies.tables import Row, write_rows

PHOTOGRAPHS: Mapping[str, int] = {
    OURS: 24, "policy:without-jpeg": 24, "policy:paper": 24, PLAIN: 24,
    "jpeg:quality=75": 24, "bit-depth:bits=3": 24, "bilateral+jpeg:quality=20": 24,
    "regionsparse:sparsity=8,stride=8,localize=no+jpeg:quality=20": 24,
    "nlm:h=20": 24, "tvm": 8, "comdefend": 8,
}  # fmt: skip
"""The defenses, and how many photographs are attacked behind each."""

EPS = ("1", "2", "4", "8")  # less than 1 changes no file
FAST, WHOLE, GRAY = "adaptive:fast=yes,eps={}", "adaptive:eps={}", "bim:eps={}"
WHOLE_EPS = EPS[:2]
WHOLE_PHOTOGRAPHS = 24
TIMED = (OURS, PLAIN, "jpeg:quality=75")  # three defenses for the targets of time
TARGET = 171 * len(TIMED)  # photographs behind them, at each eps
NAME = "robustness"


def main() -> None:
    options = _options()
    machine = measure.machine()
    measure.pin()
    torch.set_num_threads(1)
    most = max(*PHOTOGRAPHS.values(), WHOLE_PHOTOGRAPHS)
    blocks = Blocks(
        list(right_photographs(options.shared, most)),
        options.shared,
        dictionary(options.shared, options.work, jobs=1),
        options.work / NAME,
    )
    if not options.tables:
        make(blocks, options.photographs, options.whole)
    tables: Mapping[str, list[Row]] = {
        "left": list(left(blocks)),
        "whole": list(whole(blocks)),
        "about": list(about(blocks, machine)),
    }
    for name, rows in tables.items():
        write_rows(options.docs / "results" / NAME / f"{name}.csv", rows)
    (options.docs / f"{NAME}.md").write_text(render(NAME, options.docs), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder for the artifacts")
    parser.add_argument("--photographs", type=int, default=max(PHOTOGRAPHS.values()))
    parser.add_argument("--whole", type=int, default=WHOLE_PHOTOGRAPHS)
    parser.add_argument("--tables", action="store_true", help="only write the tables")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of tables and pages")
    return parser.parse_args()


def make(blocks: Blocks, photographs: int, whole: int) -> None:
    """Make all blocks that are missing; those of the slow defenses last."""
    for specs in _quick_and_slow():
        for start in range(0, photographs, BLOCK):
            for spec in specs:
                for first in range(start, min(start + BLOCK, PHOTOGRAPHS[spec]), size_of(spec)):
                    for eps in EPS:
                        _print(blocks.made(spec, FAST.format(eps), first))
                        blocks.made(spec, GRAY.format(eps), first)
    for start in range(0, whole, BLOCK):
        for eps in WHOLE_EPS:
            _print(blocks.made(OURS, WHOLE.format(eps), start))


def _quick_and_slow() -> tuple[list[str], list[str]]:
    quick = [spec for spec in PHOTOGRAPHS if size_of(spec) == BLOCK]
    return quick, [spec for spec in PHOTOGRAPHS if spec not in quick]


def _print(block: Block) -> None:
    print(block.defense, block.attack, block.start, f"{block.seconds:.1f} s", flush=True)


def left(blocks: Blocks) -> Iterator[Row]:
    """What is left behind each defense at each eps measured, clean and gray-box beside it."""
    for spec in PHOTOGRAPHS:
        seen = {eps: n for eps in EPS if (n := _photographs(blocks, spec, eps))}
        n = min(seen.values(), default=0)  # every eps has the same photographs
        for eps in seen:
            knows = blocks.joined(spec, FAST.format(eps), n)
            yield {
                "defense": text_of(spec),
                "spec": spec,
                "rules": rules_of(spec),
                "eps": eps,
                **_right("clean", knows.clean),
                **_right("knows", knows.right),
                **_resubmitted(knows),
                **_right("does_not_know", blocks.joined(spec, GRAY.format(eps), n).right),
                "cpu_seconds": f"{knows.seconds / n:.2f}",
                "steps": f"{np.median(knows.steps):g}",
                "most_steps": str(max(knows.steps)),
            }


def rules_of(spec: str) -> str:
    """The rules of a policy, which may get other ones under its name; empty for other defenses."""
    (defense,) = parse_defense(spec)
    return "; ".join(rule.text for rule in defense.rules) if isinstance(defense, ByNoise) else ""


def _photographs(blocks: Blocks, spec: str, eps: str) -> int:
    """How many photographs both attackers have attacked behind a defense."""
    attacks = [form.format(eps) for form in (FAST, GRAY)]
    return blocks.photographs(spec, attacks, PHOTOGRAPHS[spec])


def _resubmitted(block: Block) -> Row:
    """Of a random defense: right in each of several draws, and in most of them."""
    if not block.asked:
        return {"each_time": "", "majority": ""}
    fooled = np.array(block.fooled)
    each, most = fooled == 0, 2 * fooled < block.asked
    return {"each_time": str(each.sum()), "majority": str(most.sum())}


def _right(name: str, flags: Sequence[bool]) -> Row:
    found = share(np.array(flags))
    return {
        "photographs": str(len(flags)),
        name: str(found.correct),
        f"{name}_low": percent(found.low, 0),
        f"{name}_high": percent(found.high, 0),
    }


def whole(blocks: Blocks) -> Iterator[Row]:
    """The fast and the whole attack on the same photographs behind the default policy."""
    forms = (FAST, WHOLE)
    attacks = [form.format(eps) for form, eps in product(forms, WHOLE_EPS)]
    n = blocks.photographs(OURS, attacks, WHOLE_PHOTOGRAPHS)
    for eps in WHOLE_EPS if n else ():
        fast, all_parts = (blocks.joined(OURS, form.format(eps), n) for form in forms)
        yield {
            "eps": eps,
            "photographs": str(n),
            "fast": str(sum(fast.right)),
            "whole": str(sum(all_parts.right)),
            "fast_cpu_seconds": f"{fast.seconds / n:.2f}",
            "whole_cpu_seconds": f"{all_parts.seconds / n:.2f}",
        }


def about(blocks: Blocks, machine: str) -> Iterator[Row]:
    """The machine, and the time on two cores for all photographs, extrapolated."""
    rows = list(left(blocks))
    timed = [float(row["cpu_seconds"]) for row in rows if row["spec"] in TIMED]
    wholes = [float(row["whole_cpu_seconds"]) for row in whole(blocks)]
    found = {"machine": machine, "target_photographs": "171"}
    if timed:
        found["fast_minutes"] = f"{np.mean(timed) * TARGET * len(EPS) / 2 / 60:.1f}"
    if wholes:
        found["whole_hours"] = f"{np.mean(wholes) * TARGET * len(EPS) / 2 / 3600:.1f}"
    for key, value in found.items():
        yield {"key": key, "value": value}


if __name__ == "__main__":
    main()
