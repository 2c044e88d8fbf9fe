"""A few seconds of what `make reliability` does for an hour: the same experiments, few of each."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.reliability import experiments, mutants
from tests.reliability.campaign import Bench
from tests.reliability.cases import Case, all_cases
from tests.reliability.experiments import disk_faults, kill_faults, sample, signal_faults
from tests.reliability.injector import NoCompiler, build_injector

SEED = 0
QUICK = (
    "localize", "purify --overwrite", "classify -o p.csv --overwrite", "model tag",
)  # fmt: skip
FEW = {kill_faults: 2, signal_faults: 1, disk_faults: 1}
QUICK_KINDS = ("picture", "labels", "policy", "dictionary", "sidecar", "journal of a folder")
MUTANTS = 2


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    try:
        build_injector()
    except NoCompiler as error:
        pytest.skip(str(error))
    bench = Bench(tmp_path_factory.mktemp("reliability"), SEED, light=True)
    yield bench
    bench.laboratory.close()


@pytest.mark.parametrize("case", [case for case in all_cases() if case.name in QUICK], ids=str)
def test_nothing_is_lost(bench: Bench, case: Case) -> None:
    """Killed, stopped or starved at a call, a command leaves what it promises and goes on."""
    prepared = bench.prepared(case)
    for draw, number in FEW.items():
        for fault in sample(draw(prepared), number, f"{SEED} {case}"):
            verdict = experiments.experiment(bench.laboratory, prepared, fault)
            assert not verdict.complaints, f"{verdict}"


@pytest.mark.parametrize("name", QUICK_KINDS)
def test_damaged_files(bench: Bench, name: str) -> None:
    """A damaged file is read or refused, in one line."""
    kind = next(kind for kind in mutants.all_kinds() if kind.name == name)
    breeder = mutants.Breeder(bench.laboratory, kind)
    for number in random.Random(SEED).sample(range(10_000), MUTANTS):
        verdict = breeder.mutant(f"{number}")
        assert not verdict.complaints, f"{verdict}"
