"""What was done to each image: in the manifest, in JSON, in the summary and for callers."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

import rsparse
from rsparse.core.change import Change, change_between
from rsparse.core.noise import noise_level, period_two
from rsparse.defended.images import DefendedImages
from rsparse.defenses import Resources, parse_defense
from rsparse.defenses.applied import Applied
from rsparse.evaluation.files import image_rows, save_evaluation
from rsparse.evaluation.loading import load_evaluation
from rsparse.evaluation.treated import Treated
from rsparse.options.purify import PurifyParameters
from rsparse.report.markdown import render_markdown
from rsparse.report.subjects import find_subjects
from rsparse.report.treatments import what_was_done
from rsparse.store.folders import read_manifest
from rsparse.store.images import decode_image, encode_png
from rsparse.store.records import EVALUATION, Record
from rsparse.store.treatments import (
    KEYS,
    LIGHT_DB,
    LIGHTLY,
    STRONGLY,
    UNCHANGED,
    Treatments,
    degree_of,
    treatments_of,
)
from tests.conftest import make_picture
from tests.evaluations import make_evaluation

POLICY = """
[[rule]]
noise-below = 0.5
period-below = 4
defense = "none"

[[rule]]
noise-below = 6
defense = "jpeg:quality=75"

[[rule]]
defense = "regionsparse:sparsity=3+jpeg:quality=40"
"""


def flat_with(deviation: float) -> np.ndarray:
    noise = np.random.default_rng(3).normal(0, deviation, size=(48, 48, 1))
    return np.repeat(np.clip(np.rint(128 + noise), 0, 255), 3, axis=2).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """A policy of three rules, and an image for each."""
    (tmp_path / "mine.toml").write_text(POLICY)
    images = tmp_path / "imgs"
    images.mkdir()
    for name, deviation in (("flat", 0), ("weak", 3), ("strong", 30)):
        (images / f"{name}.png").write_bytes(encode_png(flat_with(deviation)))
    return images


def entries_of(folder) -> dict:
    return {entry["name"]: entry for entry in read_manifest(folder)["images"]}


class TestChange:
    def test_equal_images_have_none(self):
        change = change_between(make_picture(0), make_picture(0).copy())
        assert change == Change(math.inf, 0)
        assert change.is_none

    def test_a_known_difference(self):
        """Squared differences of 6² in one of 3·4·5 values: 10 log₁₀(255² · 60 / 36)."""
        image = np.full((4, 5, 3), 100, np.uint8)
        other = image.copy()
        other[2, 3, 1] = 106
        assert change_between(image, other) == change_between(other, image)
        expected = round(10 * math.log10(255**2 * 60 / 36), 2)
        assert change_between(image, other) == Change(expected, 6)

    def test_black_and_white_have_a_psnr_of_0(self):
        white = np.full((200, 300, 3), 255, np.uint8)
        assert change_between(np.zeros_like(white), white) == Change(0.0, 255)

    def test_it_is_that_of_a_plain_computation(self):
        image, other = make_picture(1, 61, 47), make_picture(2, 61, 47)
        difference = image.astype(float) - other
        psnr = 10 * np.log10(255**2 / np.mean(difference**2))
        change = change_between(image, other)
        assert change.psnr == pytest.approx(psnr, abs=0.005001)
        assert change.linf == np.abs(difference).max()


class TestManifest:
    @pytest.mark.parametrize("options", [(), ("--device", "torch-cpu"), ("--jobs", 2)])
    def test_each_entry_tells_the_rule_and_why_it_applied(
        self, run_cli, folder, dict_file, tmp_path, options
    ):
        if options[:1] == ("--device",):
            pytest.importorskip("torch")
        policy, out = tmp_path / "mine.toml", tmp_path / "out"
        common = ("purify", folder, "--dict", dict_file, "--policy", policy, "-o", out)
        result = run_cli(*common, *options)
        assert result.exit_code == 0
        entries = entries_of(out)
        for name, deviation in (("flat", 0), ("weak", 3), ("strong", 30)):
            entry, image = entries[name], flat_with(deviation)
            clean = decode_image((out / f"{name}.png").read_bytes(), out)
            change = change_between(image, clean)
            assert entry["noise"] == pytest.approx(noise_level(image), rel=1e-4, abs=1e-6)
            assert entry["linf"] == change.linf
            assert entry["psnr"] == (None if name == "flat" else change.psnr)
            assert entry["unchanged"] == (name == "flat")
            assert entry["applied"][0]["measured"]["noise"] == entry["noise"]
        assert entries["flat"]["done"] == "rule 1: none"
        measured = entries["flat"]["applied"][0]["measured"]
        assert measured["period"] == period_two(flat_with(0))
        assert entries["weak"]["done"] == "rule 2: jpeg:quality=75"
        assert "period" not in entries["weak"]["applied"][0]["measured"]
        coded, jpeg = entries["strong"]["applied"]
        assert (coded["rule"], coded["sparsity"]) == (3, 3)
        assert coded["defense"] == "regionsparse:sparsity=3"
        assert 0 < coded["region"] <= 1
        assert jpeg == {"defense": "jpeg:quality=40", "rule": 3}

    def test_without_a_policy_there_is_no_rule(self, run_cli, folder, dict_file, tmp_path):
        masks = tmp_path / "masks"
        masks.mkdir()
        half = np.zeros((48, 48, 3), np.uint8)
        half[:12] = 255
        for name in ("flat", "weak", "strong"):
            (masks / f"{name}.png").write_bytes(encode_png(half))
        out = tmp_path / "out"
        options = ("--sparsity", 2, "--masks", masks, "-o", out)
        assert run_cli("purify", folder, "--dict", dict_file, *options).exit_code == 0
        for entry in entries_of(out).values():
            assert entry["applied"] == [
                {"defense": "regionsparse:sparsity=2", "sparsity": 2, "region": 0.25}
            ]
            assert entry["noise"] == pytest.approx(
                noise_level(decode_image((folder / entry["file"]).read_bytes(), folder)),
                rel=1e-4,
                abs=1e-6,
            )


class TestSummary:
    def test_it_counts_what_was_done_and_names_the_extremes(self, run_cli, folder, tmp_path):
        (tmp_path / "two.toml").write_text(POLICY.replace("regionsparse:sparsity=3+", ""))
        options = ("--policy", tmp_path / "two.toml", "-o", tmp_path / "out", "--json")
        result = run_cli("purify", folder, *options)
        entries = entries_of(tmp_path / "out")
        shown = [" ".join(line.split()) for line in result.stderr.splitlines()]
        weak, strong = entries["weak"]["psnr"], entries["strong"]["psnr"]
        assert shown[3:9] == [
            "done 1 left unchanged",
            "1 rule 2: jpeg:quality=75",
            "1 rule 3: jpeg:quality=40",
            "changed left unchanged 1, lightly 1, strongly 1 (lightly: PSNR of 30 dB or more)",
            f"least changed weak, {weak:.1f} dB",
            f"most changed strong, {strong:.1f} dB",
        ]
        told = json.loads(result.stdout)
        assert told["schema"] == "rsparse-purified 1"
        assert told["treatments"]["counts"] == {
            UNCHANGED: 1, "rule 2: jpeg:quality=75": 1, "rule 3: jpeg:quality=40": 1,
        }  # fmt: skip
        assert told["treatments"]["most_changed"] == {
            "name": "strong", "psnr": strong, "done": "rule 3: jpeg:quality=40",
        }  # fmt: skip
        assert told["treatments"]["changed"] == {UNCHANGED: 1, LIGHTLY: 1, STRONGLY: 1}
        assert told["treatments"]["lightly_from_psnr"] == LIGHT_DB
        degrees = {"flat": UNCHANGED, "strong": STRONGLY, "weak": LIGHTLY}
        assert told["images"] == [
            {**{key: entries[name][key] for key in KEYS}, "changed": degree}
            for name, degree in degrees.items()
        ]

    def test_lightly_is_a_change_of_eight_grey_levels_in_root_mean_square(self):
        image = np.full((16, 16, 3), 100, np.uint8)
        assert degree_of(change_between(image, image + 8).psnr) == LIGHTLY
        assert degree_of(change_between(image, image + 9).psnr) == STRONGLY
        assert degree_of(LIGHT_DB) == LIGHTLY
        assert degree_of(None) == UNCHANGED

    def test_show_counts_them_too(self, run_cli, folder, tmp_path):
        options = ("--defense", "jpeg:quality=75", "-o", tmp_path / "out")
        assert run_cli("purify", folder, *options).exit_code == 0
        contents = json.loads(run_cli("show", tmp_path / "out", "--json").stdout)["contents"]
        assert contents["changed"] == "left unchanged 1, lightly 1, strongly 1"

    def test_rules_are_in_their_order_after_what_is_unchanged(self):
        dones = ["rule 10: a", "b", "rule 9: a", "rule 1: none"]
        entries = [
            {"name": str(n), "done": done, "unchanged": n == 3, "psnr": None if n == 3 else 30 + n}
            for n, done in enumerate(dones)
        ]
        found = treatments_of([*entries, {"name": "old"}])
        assert list(found.counts) == [UNCHANGED, "b", "rule 9: a", "rule 10: a"]
        assert (found.least.name, found.most.name) == ("2", "0")
        assert treatments_of([]) == Treatments()


class TestEvaluation:
    def test_a_trial_counts_them(self):
        treated = Treated(
            ("rule 1: none", "rule 2: a", "rule 3: b"),
            np.array([0, 1, -1, 1, 0]),
            np.array([np.inf, 30, np.nan, 34, np.inf], np.float32),
        )
        assert treated.counts() == {"rule 1: none": 2, "rule 2: a": 2}
        assert treated.unchanged == 2
        assert treated.mean_psnr == 32
        nothing = Treated((), np.full(2, -1), np.full(2, np.nan, np.float32))
        assert (nothing.counts(), nothing.unchanged, nothing.mean_psnr) == ({}, 0, None)

    def test_the_report_has_a_row_for_each_column(self):
        subjects = find_subjects(make_evaluation(9, transfer=False), "jpeg-quality=75")
        table = what_was_done(subjects)
        assert table.header[-4:] == ("rule 1: none", "rule 2: other", "unchanged", "PSNR, dB")
        first = [value.text for value in table.rows[0]]
        assert first == ["jpeg-quality=75", "", "clean", "mobilenet-v2", "3", "6", "3", "40.0"]
        assert len(table.rows) == len(subjects.evaluation.columns)
        assert "| rule 1: none | rule 2: other |" in render_markdown(subjects)

    def test_an_evaluation_that_does_not_tell_has_no_table(self):
        told = make_evaluation(9, transfer=False)
        trials = tuple(replace(trial, treated=None) for trial in told.trials)
        silent = replace(told, trials=trials)
        assert what_was_done(find_subjects(silent, None)) is None
        assert {row["done"] for row in image_rows(silent)} == {None}

    def test_it_is_kept_in_its_file(self, tmp_path):
        told = make_evaluation(9, transfer=False)
        save_evaluation(tmp_path, Record(EVALUATION, "evaluate", {}), told)
        for before, after in zip(told.trials, load_evaluation(tmp_path).trials, strict=True):
            assert after.treated.texts == before.treated.texts
            np.testing.assert_array_equal(after.treated.done, before.treated.done)
            np.testing.assert_array_equal(after.treated.psnr, before.treated.psnr)


class TestCallers:
    IMAGE = make_picture(0, 40, 48)

    def test_purify_returns_it_on_request(self, small_dictionary):
        parameters = PurifyParameters(sparsity=2, localize=False)
        clean = rsparse.purify(self.IMAGE, small_dictionary, parameters)
        same, told = rsparse.purify(self.IMAGE, small_dictionary, parameters, return_treatment=True)
        np.testing.assert_array_equal(clean, same)
        spec = "regionsparse:sparsity=2,localize=no"
        assert told.applied == (Applied(spec, sparsity=2, region=1.0),)
        assert told.change == change_between(self.IMAGE, clean)

    @pytest.mark.parametrize("device", ["cpu", "torch-cpu"])
    def test_batches_return_one_for_each_image(self, small_dictionary, device):
        if device != "cpu":
            pytest.importorskip("torch")
        images = np.stack([self.IMAGE, make_picture(1, 40, 48)])
        clean, told = rsparse.purify_batch(
            images, small_dictionary, device=device, return_treatment=True
        )
        assert [t.change for t in told] == [*map(change_between, images, clean)]
        _, defended = rsparse.defend(
            images, "bit-depth+policy:default", small_dictionary, return_treatment=True
        )
        first, chosen = defended[0].applied
        assert (first.rule, first.defense) == (None, "bit-depth:bits=5")
        assert chosen.rule is not None

    def test_what_the_cores_do_is_told_beside_a_device(self):
        pytest.importorskip("torch")
        from rsparse.work.device import Device

        (defense,) = parse_defense("jpeg")
        images = DefendedImages(defense, Resources(), Device("torch-cpu"))
        (cleaned,) = images.finish([images.prepare(self.IMAGE)])
        assert cleaned.treatment.applied == (Applied("jpeg:quality=75"),)
