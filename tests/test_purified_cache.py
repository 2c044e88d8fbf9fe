"""Images purified once for several trainings: they are reused only if made the same way."""

from __future__ import annotations

import pytest

from rsparse.commands.train.retraining import purify_once
from rsparse.defenses import parse_defense
from rsparse.options.purify import PurifyRunParameters
from tests.conftest import tree_of


def made_by(pictures, place, spec):
    (defense,) = parse_defense(spec)
    purify_once([pictures], defense, place, {}, PurifyRunParameters(), overwrite=True)
    return tree_of(place)


@pytest.mark.parametrize(
    "other", ["median:size=5", "jpeg:quality=40", "median:size=5+jpeg:quality=40"]
)
def test_a_folder_of_another_defense_is_made_anew(pictures, tmp_path, other):
    expected = made_by(pictures, tmp_path / "expected", other)
    made_by(pictures, tmp_path / "place", "median:size=3")
    assert made_by(pictures, tmp_path / "place", other) == expected


def test_a_folder_of_the_same_defense_is_kept(pictures, tmp_path):
    made_by(pictures, tmp_path / "place", "median:size=3")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "place").rglob("*")}
    made_by(pictures, tmp_path / "place", "median:size=3")
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
