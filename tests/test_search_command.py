"""``rsparse attack`` with the searches on images of 8 bits: the files, and what is noted."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from rsparse.attacks import Bim, Pgd
from rsparse.commands.attack import campaign, run
from rsparse.commands.attack.campaign import file_limit
from rsparse.commands.attack.notes import notes_in_words, summarize_notes
from rsparse.store.folders import read_manifest
from tests.colours import MARGINS, MODEL, colours, entries_of, picture, read, save
from tests.conftest import tree_of

__all__ = ["colours"]  # the fixture


@pytest.fixture
def extremes(tmp_path: Path) -> Path:
    """Pictures that are black and white in places, where a sum in uint8 would overflow."""
    for number in range(3):
        pixels = picture(number, 5)
        pixels[:8] = np.where(np.arange(16)[:, None] % 2, 255, 0)
        save(tmp_path / "imgs" / f"{number}.png", pixels)
    return tmp_path / "imgs"


@pytest.mark.parametrize("attack", ["pgd", "apgd", "adaptive:queries=9,"])
def test_the_files_keep_within_eps(run_cli, extremes, tmp_path, attack):
    out = tmp_path / "adv"
    spec = f"{attack}{'' if attack.endswith(',') else ':'}eps=1,1.5,2.7,4"
    result = run_cli("attack", extremes, "-m", MODEL, "-a", spec, "--predicted-labels", "-o", out)
    assert result.exit_code == 0, result.stderr
    for folder in out.iterdir():
        eps = float(folder.name.split("eps=")[1].split("-")[0])
        for name, entry in entries_of(folder).items():
            change = read(folder / f"{name}.png").astype(int) - read(extremes / f"{name}.png")
            assert abs(change).max() == entry["linf"] <= int(eps)
            assert entry["l2"] == pytest.approx(np.linalg.norm(change / 255), abs=2e-6)
            assert entry["success"] == entry["success_float"]


def test_ddn_measures_the_file(run_cli, colours, tmp_path):
    """The colours' means have to change by m/2 each, for a margin of m levels.

    Cross-entropy raises both other colours together, which costs √(4/3) of the least change.
    """
    out = tmp_path / "adv"
    assert run_cli("attack", colours, "-m", MODEL, "-a", "ddn", "-o", out).exit_code == 0
    for name, entry in entries_of(out).items():
        assert entry["success"]
        nearest = np.sqrt(256 / 2) * MARGINS[name] / 255
        assert nearest * 0.99 <= entry["l2"] <= nearest * np.sqrt(4 / 3) * 1.03, name


def test_notes_are_written_for_any_number_of_jobs_and_after_a_resume(run_cli, colours, tmp_path):
    arguments = (
        "attack",
        colours,
        "-m",
        MODEL,
        "--batch-size",
        2,
        "-a",
        "adaptive:fast=yes,eps=4,8",
    )
    for jobs in (1, 2):
        assert run_cli(*arguments, "-j", jobs, "-o", tmp_path / f"{jobs}").exit_code == 0
    run_cli(*arguments, "--keep-float", "-o", tmp_path / "kept")
    assert tree_of(tmp_path / "1") == tree_of(tmp_path / "2")
    for eps in (4, 8):
        entries = entries_of(tmp_path / f"1/adaptive-eps={eps}-fast=true")
        kept = entries_of(tmp_path / f"kept/adaptive-eps={eps}-fast=true")
        for name, entry in entries.items():
            assert entry["success"] == (MARGINS[name] < 2 * eps)
            assert entry["notes"] == kept[name]["notes"]
            assert entry["notes"]["queries"] > entry["notes"]["gradients"] > 0
            assert 0 <= entry["notes"]["lowered"] <= 1


def test_the_summary_tells_what_found_the_images_and_in_how_many_steps(run_cli, colours, tmp_path):
    out = tmp_path / "adv"
    result = run_cli("attack", colours, "-m", MODEL, "-a", "adaptive:eps=8,fast=yes", "-o", out)
    assert "fools for 2 of 4 (2 by pgd) in 2 steps (median)" in " ".join(result.stderr.split())
    outcome = json.loads(run_cli("attack", colours, "-m", MODEL, "-a", "adaptive:eps=8,fast=yes",
                                 "--overwrite", "--json", "-o", out).stdout)  # fmt: skip
    found = outcome["attacks"][0]["notes"]
    assert found == summarize_notes(read_manifest(out)["images"])
    assert (found["reached"], found["by"], found["lowered"]) == (2, {"pgd": 2}, 1)


def test_the_seconds_of_an_image_are_told_and_not_written(run_cli, colours, tmp_path, monkeypatch):
    """A clock that an attack of a batch moves by 12 s: 3 s for each of its four images."""
    ticks = itertools.count(step=12)
    monkeypatch.setattr(run.time, "perf_counter", lambda: float(next(ticks)))
    arguments = ("attack", colours, "-m", MODEL, "-a", "adaptive:eps=8,fast=yes", "-j", 1)
    outcome = run_cli(*arguments, "--json", "-o", tmp_path / "adv")
    assert json.loads(outcome.stdout)["attacks"][0]["seconds"] == 3
    assert "3 s an image (mean)" in " ".join(outcome.stderr.split())
    assert "seconds" not in (tmp_path / "adv" / "manifest.json").read_text()


def test_what_a_random_defense_answers_is_summed_over_the_images():
    notes = [
        {"by": "pgd", "reached": True, "gradients": 3, "queries": 9, "asked": 4, "fooled": fooled}
        for fooled in (0, 1, 2, 4)
    ]
    notes[0]["reached"] = False
    found = summarize_notes({"notes": note} for note in notes)
    assert (found["held_each_time"], found["held_by_majority"]) == (1, 2)
    assert notes_in_words(found) == (
        "fools for 3 of 4 (3 by pgd) in 3 steps (median); 9 queries an image (median); asked 4 "
        "times, the defense holds each time for 1, by majority for 2"
    )
    assert summarize_notes([{"name": "without"}]) is None


def test_queries_are_noted(run_cli, colours, tmp_path):
    arguments = ("attack", colours, "-m", MODEL, "-a", "square:queries=7", "-o", tmp_path / "adv")
    result = run_cli(*arguments)
    assert result.exit_code == 0
    assert "7 queries an image (median)" in result.stderr
    manifest = read_manifest(tmp_path / "adv")
    assert [entry["notes"] for entry in manifest["images"]] == [{"queries": 7}] * 4
    assert json.dumps(manifest).count("queries") == 5  # also in the record


def test_a_file_beyond_its_limit_is_a_bug(run_cli, colours, tmp_path, monkeypatch):
    assert (file_limit(Bim(eps=2)), file_limit(Pgd(eps=2))) == (None, 2)
    monkeypatch.setattr(campaign, "file_limit", lambda _attack: 3)
    with pytest.raises(AssertionError, match=r"^fgsm-eps=4: .*: L∞ is 4$"):
        run_cli("attack", colours, "-m", MODEL, "-a", "fgsm:eps=4", "-o", tmp_path / "adv")
