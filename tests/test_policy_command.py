"""Policies on the command line: ``policy list`` and ``show``, and ``purify --policy``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import rsparse
from rsparse.defenses.policy import load_policy, policy_names
from rsparse.options.purify import PurifyParameters
from rsparse.store.images import decode_image, encode_png
from tests.conftest import tree_of
from tests.policy_files import MINE, mine

__all__ = ["mine"]  # the fixture


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """A folder with one noisy image and one clean image."""
    folder = tmp_path / "noisy"
    folder.mkdir()
    rng = np.random.default_rng(0)
    noise = np.clip(128 + rng.normal(0, 20, (40, 40, 3)), 0, 255).astype(np.uint8)
    ramp = np.tile(np.arange(40, dtype=np.uint8)[None, :, None] * 5, (40, 1, 3))
    (folder / "noise.png").write_bytes(encode_png(noise))
    (folder / "ramp.png").write_bytes(encode_png(ramp))
    return folder


class TestCommand:
    def test_list(self, run_cli):
        result = run_cli("policy", "list")
        assert result.exit_code == 0
        assert re.findall(r"^  ([\w-]+)   +\S", result.stdout, re.M)[1:] == policy_names()
        listed = json.loads(run_cli("policy", "list", "--json").stdout)
        assert [entry["name"] for entry in listed] == policy_names()
        assert [entry["about"] for entry in listed] == [
            load_policy(n).about for n in policy_names()
        ]

    def test_show_tells_each_rule_in_words(self, run_cli, monkeypatch):
        monkeypatch.setenv("COLUMNS", "200")
        lines = run_cli("policy", "show", "default").stdout.splitlines()
        assert lines[0] == f"default: {load_policy('default').about}"
        coded = "the bilateral filter, then the whole image coded with"
        assert re.split(r"\s{2,}", lines[2].strip()) == ["noise", "period in colour", "defense"]
        assert [re.split(r"\s{2,}", line.strip()) for line in lines[4:8]] == [
            ["below 4", "below 2.5", "the whole image coded with K = 12 at stride 8"],
            ["below 1.6", "any", "the bilateral filter with a tolerance of 30 grey levels, then "
             "the whole image coded with K = 8 at stride 8, then jpeg:quality=60"],
            ["below 6", "any", f"{coded} at most K = 16 atoms with a correlation above 2 "
             "at stride 5, then jpeg:quality=70"],
            ["otherwise", f"{coded} K = 1 at stride 2"],
        ]  # fmt: skip

    def test_show_tells_the_period_that_a_policy_asks_for(self, run_cli, monkeypatch):
        monkeypatch.setenv("COLUMNS", "200")
        lines = run_cli("policy", "show", "sparing").stdout.splitlines()
        assert re.split(r"\s{2,}", lines[2].strip()) == ["noise", "period of two", "defense"]
        assert re.split(r"\s{2,}", lines[4].strip()) == [
            "below 0.5", "below 4", "no defense: the image stays unchanged",
        ]  # fmt: skip

    def test_show_has_no_column_that_says_nothing(self, run_cli):
        lines = run_cli("policy", "show", "paper").stdout
        assert "period" not in lines
        assert "the object region coded with K = 2 at stride 2" in lines

    def test_show_as_a_file_and_for_scripts(self, run_cli, mine):
        assert run_cli("policy", "show", mine, "--toml").stdout == MINE
        assert json.loads(run_cli("policy", "show", mine, "--json").stdout) == {
            "name": "mine", "about": "As mild as can be.",
            "rules": [
                {"noise_below": 3.0, "defense": "none",
                 "in_words": "no defense: the image stays unchanged"},
                {"defense": "regionsparse:sparsity=1,localize=no",
                 "in_words": "the whole image coded with K = 1 at stride 2"},
            ],
        }  # fmt: skip

    def test_mistakes(self, assert_error, dict_file):
        assert_error(
            "unknown policy 'defalt'; did you mean default? Known: default, coarse, "
            "paper, sparing, wide, without-jpeg; or give a file, such as mine.toml",
            "policy",
            "show",
            "defalt",
        )
        assert_error(
            "--toml and --json cannot be used together; give one of them",
            "policy",
            "show",
            "default",
            "--toml",
            "--json",
        )
        assert_error(f"{dict_file}: expected a dictionary of version 1 with levels, got one "
                     "without; see 'rsparse policy list'", "policy", "show", dict_file)  # fmt: skip


class TestPurify:
    def test_a_file_and_its_spec_give_the_same_bytes(
        self, run_cli, noisy, mine, dict_file, tmp_path
    ):
        trees = []
        for name, options in (("a", ("--policy", mine)), ("b", ("--defense", f"policy:{mine}"))):
            out = tmp_path / name
            result = run_cli("purify", noisy, "--dict", dict_file, *options, "-o", out)
            assert result.exit_code == 0, result.stderr
            trees.append(tree_of(out))
        assert trees[0] == trees[1]
        assert str(mine.parent) not in trees[0]["manifest.json"].decode()

    def test_each_image_is_cleaned_by_its_rule(
        self, run_cli, noisy, mine, dict_file, small_dictionary, tmp_path
    ):
        out = tmp_path / "out"
        run_cli("purify", noisy, "--dict", dict_file, "--policy", mine, "-o", out)
        before, after = (
            {name: decode_image((folder / f"{name}.png").read_bytes(), folder)
             for name in ("noise", "ramp")}
            for folder in (noisy, out)
        )  # fmt: skip
        np.testing.assert_array_equal(after["ramp"], before["ramp"])
        whole = PurifyParameters(sparsity=1, localize=False)
        expected = rsparse.purify(before["noise"], small_dictionary, whole)
        np.testing.assert_array_equal(after["noise"], expected)
        again = rsparse.purify(before["noise"], small_dictionary, policy=str(mine))
        np.testing.assert_array_equal(again, expected)

    def test_two_defenses_are_told_to_be_a_chain(self, assert_error, pictures, dict_file, tmp_path):
        common = ("purify", pictures, "--dict", dict_file, "-o", tmp_path / "out")
        hint = "can be given once; a chain applies several defenses in order, as in"
        for option, first, second in (
            ("--defense", "jpeg", "median"),
            ("--policy", "paper", "wide"),
        ):
            assert_error(
                f"{option}: {hint} --defense bilateral+jpeg",
                *common, option, first, f"{option}={second}",
            )  # fmt: skip

    def test_an_option_beside_a_policy_file_is_set_in_that_file(self, assert_error, pictures):
        assert_error(
            "--stride and --policy cannot be used together; set it in mine.toml",
            "purify", pictures, "--policy", "mine.toml", "--stride", 1,
        )  # fmt: skip

    def test_old_spellings(self, assert_error, pictures, dict_file, tmp_path):
        common = ("purify", pictures, "--dict", dict_file, "-o", tmp_path / "out")
        assert_error("--weakest is now --min-correlation", *common, "--weakest", 2)
        assert_error("--sparsity auto is now --policy default", *common, "--sparsity", "auto")
        assert_error(
            "--levels is now purify --policy: see 'rsparse policy list'",
            "learn-dict", pictures, "-o", tmp_path / "d.h5", "--levels", "whole:2",
        )  # fmt: skip


def test_one_dictionary_stands_for_any_name_in_the_library(small_dictionary, noisy):
    image = decode_image((noisy / "noise.png").read_bytes(), noisy)
    expected = rsparse.purify(
        image,
        small_dictionary,
        PurifyParameters(sparsity=1, stride=3, localize=False, prefilter=True),
    )
    clean = rsparse.purify(image, small_dictionary, policy="wide")
    np.testing.assert_array_equal(clean, expected)


def test_masks_take_the_place_of_localization_in_a_policy_s_rules(
    run_cli, noisy, dict_file, small_dictionary, tmp_path
):
    half = np.zeros((40, 40), dtype=np.uint8)
    half[:, :20] = 255
    masks = tmp_path / "masks"
    masks.mkdir()
    for name in ("noise", "ramp"):
        (masks / f"{name}.png").write_bytes(encode_png(half))
    out = tmp_path / "out"
    options = ("--dict", dict_file, "--policy", "paper", "--masks", masks, "-o", out)
    assert run_cli("purify", noisy, *options).exit_code == 0
    image = decode_image((noisy / "noise.png").read_bytes(), noisy)
    hard = PurifyParameters(feather=0)
    expected = rsparse.purify(image, small_dictionary, hard, mask=half > 127)
    np.testing.assert_array_equal(decode_image((out / "noise.png").read_bytes(), out), expected)


def test_show_tells_a_policy_by_its_rules(run_cli, noisy, dict_file, tmp_path):
    out = tmp_path / "out"
    options = ("--dict", dict_file, "--defense", "policy:default+jpeg", "-o", out)
    assert run_cli("purify", noisy, *options).exit_code == 0
    lines = [line.lstrip("├─└ ") for line in run_cli("show", out).stdout.splitlines()]
    assert [line for line in lines if line.startswith("defense")] == [
        "defense = policy:default+jpeg:quality=75",
        *(
            f"defense, rule {number} = {rule.text}"
            for number, rule in enumerate(load_policy("default").defense.rules, 1)
        ),
    ]
