"""Dictionaries of version 1, whose levels were what policies are today."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import h5py
import numpy as np
import pytest

import rsparse

OLD_DEFAULT = {  # from an earlier rsparse
    "noise_below": [0.5, 1.6, 6.0, np.inf], "sparsity": [0, 5, 16, 1],
    "localize": [True, False, False, False], "prefilter": [False, True, True, True],
    "period_below": [4.0, np.inf, np.inf, np.inf], "weakest": [0.0, 0.0, 2.0, 0.0],
    "stride": [2, 8, 5, 2],
}  # fmt: skip
OLD_WIDE = {
    "noise_below": [0.5, 2.5, 6.0, np.inf], "sparsity": [0, 8, 2, 1],
    "localize": [True, False, False, False], "prefilter": [False, True, True, True],
    "period_below": [4.0, np.inf, np.inf, np.inf], "weakest": [0.0, 0.0, 0.0, 0.0],
    "stride": [2, 6, 3, 3],
}  # fmt: skip


@pytest.fixture
def old(dict_file: Path):
    """A version 1 dictionary with noise levels."""

    def make(levels: dict[str, list] | None) -> Path:
        with h5py.File(dict_file, "a") as file:
            file.attrs["format_version"] = 1
            record = {**json.loads(file.attrs["record"]), "format_version": 1}
            file.attrs["record"] = json.dumps(record)
            for name, values in (levels or {}).items():
                file[f"levels/{name}"] = np.array(values)
        return dict_file

    return make


class TestOldDictionary:
    def purified(self, run_cli, pictures, path, *options) -> list[str]:
        out = path.parent / "out"
        result = run_cli("purify", pictures, "--dict", path, *options, "-o", out, "--overwrite")
        assert result.exit_code == 0
        return [line for line in result.stderr.splitlines() if "levels" in line]

    def test_its_atoms_count(self, old, small_dictionary):
        loaded = rsparse.load_dictionary(old(OLD_DEFAULT))[0]
        np.testing.assert_array_equal(loaded.atoms, small_dictionary.atoms)

    def test_the_former_default_levels_have_a_policy_of_their_own(self, run_cli, pictures, old):
        path = old(OLD_DEFAULT)
        assert self.purified(run_cli, pictures, path) == [
            f"rsparse: {path}: its levels are ignored; use --policy sparing, which has the same "
            "rules"
        ]

    def test_a_built_in_policy_is_named_where_one_has_the_rules(self, run_cli, pictures, old):
        path = old(OLD_WIDE)
        wide = (f"wide={path}", "--dict", path)
        assert self.purified(run_cli, pictures, path) != []
        result = run_cli("purify", pictures, "--dict", wide[0], "--defense",
                         "regionsparse:dictionary=wide", "-o", path.parent / "w")  # fmt: skip
        line = (
            f"rsparse: {path}: its levels are ignored; use --policy wide, which has the same rules"
        )
        assert result.stderr.splitlines()[0] == line

    def test_nothing_is_said_where_the_policy_is_chosen(self, run_cli, pictures, old):
        path = old(OLD_WIDE)
        result = run_cli("purify", pictures, "--dict", f"wide={path}", "--policy", "wide",
                         "-o", path.parent / "w")  # fmt: skip
        assert (result.exit_code, "levels" in result.stderr) == (0, False)

    def test_without_levels_it_was_the_paper_s_form(self, run_cli, pictures, old):
        path = old(None)
        assert self.purified(run_cli, pictures, path) == [
            f"rsparse: {path}: its levels are ignored; 'rsparse policy show {path} --toml > "
            "mine.toml' turns them into a policy"
        ]
        shown = run_cli("policy", "show", path, "--toml").stdout
        assert tomllib.loads(shown)["rule"] == [{"defense": "regionsparse:sparsity=2"}]

    def test_other_levels_become_a_policy(self, run_cli, pictures, old, tmp_path):
        levels = {"noise_below": [0.5, np.inf], "sparsity": [8, 2], "localize": [True, False],
                  "prefilter": [False, False]}  # fmt: skip
        path = old(levels)
        copy = tmp_path / "mine.toml"
        assert self.purified(run_cli, pictures, path) == [
            f"rsparse: {path}: its levels are ignored; 'rsparse policy show {path} --toml > "
            "mine.toml' turns them into a policy"
        ]
        copy.write_text(run_cli("policy", "show", path, "--toml").stdout, encoding="utf-8")
        assert tomllib.loads(copy.read_text(encoding="utf-8")) == {
            "about": "The levels of dict.h5.",
            "rule": [
                {"noise-below": 0.5, "defense": "regionsparse:sparsity=8"},
                {"defense": "regionsparse:sparsity=2,localize=no"},
            ],
        }
        assert self.purified(run_cli, pictures, path, "--policy", copy) == []

    @pytest.mark.parametrize(
        ("name", "values", "line"),
        [
            ("sparsity", None, "is damaged or incomplete: the dataset levels/sparsity is missing"),
            ("sparsity", [1], "is damaged or incomplete: levels: its datasets differ in length"),
            ("noise_below", [0.5, 1.6, 1.0, np.inf],
             "policy levels: rule 3 never applies, since rule 2 covers the same images"),
        ],
    )  # fmt: skip
    def test_levels_that_are_damaged(self, assert_error, old, name, values, line):
        levels = {**OLD_DEFAULT, name: values}
        path = old({key: value for key, value in levels.items() if value is not None})
        assert_error(f"{path}: {line}", "policy", "show", path)
