"""A job: one identity, one record, and one rule that decides whether an artifact is its own."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from rsparse.store import records
from rsparse.store.job import METHODS, Job, outdated
from rsparse.store.records import DICTIONARY, IMAGES, Source
from tests.methods import raise_method

ATOMS = Job("learn-dict", DICTIONARY, {"n_atoms": 4}, 7)
CLEANING = Job("purify", IMAGES, {"sparsity": 2, "size": (8, 8)}, None, {"images": "ab" * 32})


@pytest.fixture(autouse=True, scope="module")
def first_methods():
    """Every stage is at its first method, whatever its number is now."""
    with pytest.MonkeyPatch.context() as patched:
        for stage in METHODS:
            patched.setitem(METHODS, stage, 1)
        yield


def dictionary(method: int = 1, generator: str = records.GENERATOR) -> Source:
    record = ATOMS.record([Source("imgs", "ab" * 32)]).as_json()
    return Source("d.h5", "cd" * 32, {**record, "method": method, "generator": generator})


def from_disk(record: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json.dumps(record.as_json()))
    return content


def test_every_command_that_makes_an_artifact_has_a_method():
    from rsparse.cli.app import COMMANDS

    without = {
        "demo",
        "dictionaries",
        "fetch",
        "model",
        "policy",
        "report",
        "show",
        "verify",
        "view",
    }
    assert set(METHODS) == {"select", "measure", "judge"} | set(COMMANDS) - without


def test_the_identity_is_known_before_the_work():
    assert CLEANING.identity() == {
        "stage": "purify",
        "method": METHODS["purify"],
        "format": "rsparse-images",
        "format_version": 2,
        "parameters": {"sparsity": 2, "size": (8, 8)},
        "seed": None,
        "known": {"images": "ab" * 32},
    }


@pytest.mark.parametrize(
    "other",
    [
        replace(CLEANING, stage="localize"),
        replace(CLEANING, format=DICTIONARY),
        replace(CLEANING, parameters={"sparsity": 3, "size": (8, 8)}),
        replace(CLEANING, parameters={"sparsity": 2}),
        replace(CLEANING, seed=0),
    ],
)
def test_an_artifact_of_another_job_is_told_apart(other):
    sources = [dictionary()]
    record = from_disk(CLEANING.record(sources))
    assert CLEANING.matches(record, sources)
    assert not other.matches(record, sources)
    assert other.identity() != CLEANING.identity()


def test_an_artifact_of_other_inputs_is_told_apart():
    record = from_disk(CLEANING.record([dictionary()]))
    assert not CLEANING.matches(record, [replace(dictionary(), sha256="ef" * 32)])
    assert not CLEANING.matches(record, [replace(dictionary(), name="e.h5")])
    assert not CLEANING.matches(record, [replace(dictionary(), record=None)])
    assert not CLEANING.matches(record, [])
    assert not CLEANING.matches(record, [dictionary(), dictionary()])


def test_what_only_the_work_could_tell_is_not_compared():
    record = from_disk(CLEANING.record([], computed={"scaling": {"tau": 0.5}}))
    assert record["parameters"]["scaling"] == {"tau": 0.5}
    assert CLEANING.matches(record, [], computed=["scaling"])
    assert not CLEANING.matches(record, [])
    assert CLEANING.matches(from_disk(CLEANING.record([])), [], computed=["scaling"])


def test_another_release_makes_nothing_stale(monkeypatch):
    """Neither the release that wrote the artifact nor those that wrote its inputs matter."""
    record = from_disk(CLEANING.record([dictionary(generator="rsparse 0.0.1")]))
    identity = CLEANING.identity()
    monkeypatch.setattr(records, "GENERATOR", "rsparse 99")
    assert CLEANING.identity() == identity
    assert CLEANING.record([]).as_json()["generator"] == "rsparse 99"
    assert CLEANING.matches(record, [dictionary()])
    assert CLEANING.changed_method(record, [dictionary()]) is None
    assert outdated(record) is None


def test_another_method_makes_its_work_stale(monkeypatch):
    record, identity = from_disk(CLEANING.record([dictionary()])), CLEANING.identity()
    changed = raise_method(monkeypatch, "purify")
    assert CLEANING.identity() != identity
    assert not CLEANING.matches(record, [dictionary()])
    assert CLEANING.changed_method(record, [dictionary()]) == changed
    assert outdated(record) == changed
    again = from_disk(CLEANING.record([dictionary()]))
    assert CLEANING.matches(again, [dictionary()])
    assert outdated(again) is None


def test_another_method_makes_what_came_of_its_work_stale(monkeypatch):
    """The input's record is compared, whether or not the method of this stage has changed."""
    record = from_disk(CLEANING.record([dictionary()]))
    changed = raise_method(monkeypatch, "learn-dict")
    assert outdated(record) == changed
    learned_again = dictionary(method=2)
    assert not CLEANING.matches(record, [learned_again])
    assert CLEANING.changed_method(record, [learned_again]) == changed
    assert CLEANING.matches(record, [dictionary()])  # a file that the user still wants to use


def test_records_from_before_methods_are_compared_too():
    old = dictionary().record
    assert old is not None
    older = replace(dictionary(), record={k: v for k, v in old.items() if k != "method"})
    record = from_disk(CLEANING.record([older]))
    assert CLEANING.matches(record, [older])
    assert not CLEANING.matches(record, [dictionary()])
    assert CLEANING.changed_method(record, [dictionary()]) == "an older method of learn-dict"
    assert outdated(record) == "an older method of learn-dict"


def test_stages_of_others_are_never_outdated():
    foreign = {**(dictionary().record or {}), "stage": "make-fixtures", "method": 5}
    assert outdated(from_disk(CLEANING.record([Source("d.h5", "cd" * 32, foreign)]))) is None
