"""What `make reliability` runs: all experiments for a while, and the table of their counts.

It continues where an earlier run of the same program stopped, and begins anew after a change.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
import time
from pathlib import Path

from tests.reliability import campaign, figures
from tests.reliability.injector import NoCompiler, build_injector


def main() -> int:
    """Run the campaign for a while and print or write its figures; 1 if a promise was broken."""
    options = _options()
    try:
        build_injector()
    except NoCompiler as error:
        print(f"reliability: skipped: {error}", file=sys.stderr)
        return 0
    folder = options.work.resolve()
    state = _state_of(folder, options.seed)
    units = [
        unit for unit in campaign.all_units()
        if (not options.part or unit.part in options.part)
        and (options.only is None or options.only in unit.name)
    ]  # fmt: skip
    deadline = time.monotonic() + 60 * options.minutes
    first = campaign.Bench(folder / "bench-0", options.seed)
    inputs = first.laboratory.inputs
    others = [
        multiprocessing.get_context("spawn").Process(
            target=_work, args=(folder, state, options, number, inputs, deadline))
        for number in range(1, options.jobs)
    ]  # fmt: skip
    for process in others:
        process.start()
    campaign.run_units(first, units[0 :: options.jobs], state, deadline, _say)
    first.laboratory.close()
    for process in others:
        process.join()
    table = figures.table_of(state)
    print(table)
    if options.write:
        figures.write(options.write, table)
    return int(figures.number_of_faults(state) > 0)


def _work(
    folder: Path, state: Path, options: argparse.Namespace, number: int, inputs: Path,
    deadline: float,
) -> None:  # fmt: skip
    bench = campaign.Bench(folder / f"bench-{number}", options.seed, inputs)
    units = [
        unit for unit in campaign.all_units()
        if (not options.part or unit.part in options.part)
        and (options.only is None or options.only in unit.name)
    ]  # fmt: skip
    campaign.run_units(bench, units[number :: options.jobs], state, deadline, _say)
    bench.laboratory.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("reliability-work"))
    parser.add_argument("--part", action="append", choices=sorted(campaign.PARTS))
    parser.add_argument("--only", help="part of a case's or kind's name")
    parser.add_argument("--write", type=Path, help="document whose figures are replaced")
    return parser.parse_args()


def _state_of(folder: Path, seed: int) -> Path:
    """The counts of this program with this seed; the benches of another program are removed."""
    digest = campaign.sources_digest()
    mark = folder / "sources"
    if not mark.exists() or mark.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        mark.write_text(digest)
    state = folder / f"counts-{seed}"
    state.mkdir(exist_ok=True)
    return state


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
