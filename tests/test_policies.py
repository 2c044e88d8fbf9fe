"""Policies by name and as files: on the command line, in plans, and from old dictionaries."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import h5py
import numpy as np
import pytest

import rsparse
from rsparse.defenses import DEFENSES, RegionSparse, parse_defense, parse_defenses
from rsparse.defenses.by_noise import Rule
from rsparse.defenses.policy import load_policy, policy_names
from rsparse.evaluation.plan_file import read_plan
from rsparse.evaluation.results import JudgedDefense
from rsparse.options.purify import PurifyParameters
from rsparse.report.page import flat, plain
from rsparse.report.subjects import find_subjects
from rsparse.store.images import decode_image, encode_png
from tests.conftest import REPOSITORY, tree_of
from tests.evaluations import make_evaluation
from tests.refusals import refused

MINE = """about = "As mild as can be."

[[rule]]
noise-below = 3
defense = "none"

[[rule]]
defense = "regionsparse:sparsity=1,localize=no"
"""
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
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(MINE, encoding="utf-8")
    return path


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


class TestBuiltIn:
    def test_the_default_one_is_first(self):
        assert policy_names() == ["default", "coarse", "paper", "sparing", "wide", "without-jpeg"]

    @pytest.mark.parametrize("name", policy_names())
    def test_each_says_what_it_is_for_and_is_spelled_as_it_is_printed(self, name):
        policy = load_policy(name)
        assert policy.name == name
        assert policy.about.endswith(".")
        file = REPOSITORY / "rsparse" / "defenses" / "policies" / f"{name}.toml"
        assert policy.as_toml() == file.read_text(encoding="utf-8")

    def test_paper_is_what_the_text_says_without_our_additions(self):
        """G = Gx − Gy keeps horizontal gradients; no blur, working size or soft border is named."""
        paper = RegionSparse(
            gradient_difference="horizontal", blur_size=1, working_size=0, feather=0
        )
        assert load_policy("paper").defense.rules == (Rule(paper),)
        assert (paper.theta, paper.localize, paper.filter_background) == (1, True, True)

    def test_coarse_and_wide_leave_the_images_alone_that_sparing_does(self):
        first = {name: load_policy(name).defense.rules[0] for name in policy_names()}
        assert first["coarse"] == first["wide"] == first["sparing"]

    def test_they_are_those_of_the_docs(self):
        text = (REPOSITORY / "docs" / "policies.md").read_text(encoding="utf-8")
        named = re.findall(r"^\| `([\w-]+)` \|", text, re.M)
        assert sorted(named) == sorted(policy_names())

    def test_the_default_one_is_that_of_the_docs(self):
        text = (REPOSITORY / "docs" / "policies.md").read_text(encoding="utf-8")
        table = text.split("## The default policy")[1].split("\n\n")[1].splitlines()[2:]
        rules = load_policy("default").defense.rules
        rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table]
        assert [row[-1] for row in rows] == [rule.defense.in_words for rule in rules]
        numbers = [re.findall(r"below ([\d.]+)", " ".join(row[:-1])) for row in rows]
        bounds = [list(rule.bounds().values()) for rule in rules]
        assert [[float(number) for number in row] for row in numbers] == bounds


class TestSpec:
    def test_names_have_no_capitals_and_lists_make_several(self):
        texts = [defense.text for defense in parse_defense("policy:Default,PAPER")]
        assert texts == ["policy-default", "policy-paper"]

    def test_a_file_is_called_as_it_is_named(self, mine):
        (defense,) = parse_defense(f"policy:{mine}")
        assert defense.text == "policy-mine"
        assert defense == parse_defense("policy:mine.toml", mine.parent)[0]
        assert load_policy(str(mine)).about == "As mild as can be."
        assert load_policy(str(mine)).as_toml() == MINE

    def test_policies_come_before_other_defenses(self, mine):
        found = parse_defenses(["jpeg"], ["mine.toml", "paper"], mine.parent)
        assert [d.text for d in found] == ["policy-mine", "policy-paper", "jpeg-quality=75"]

    @pytest.mark.parametrize(
        ("spec", "line"),
        [
            ("policy", "defense 'policy': expected policy:NAME or policy:FILE.toml; known are "
             "default, coarse, paper, sparing, wide, without-jpeg"),
            ("policy:papr", "unknown policy 'papr'; did you mean paper? Known: default, coarse, "
             "paper, sparing, wide, without-jpeg; or give a file, such as mine.toml"),
            ("policies:paper", "unknown defense 'policies'; did you mean policy? Known: "
             f"{', '.join(DEFENSES)}"),
            ("policy:no.toml", "no.toml: cannot be read: no such file or directory"),
            ("regionsparse:weakest=2",
             "defense 'regionsparse:weakest=2': weakest is now min_correlation"),
            ("regionsparse:sparsity=auto", "defense 'regionsparse:sparsity=auto': sparsity=auto is "
             "now a defense, policy:default"),
        ],
    )  # fmt: skip
    def test_mistakes(self, spec, line):
        with refused(line):
            parse_defense(spec)


class TestFile:
    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("about = 3", "about: expected a text, got 3"),
            ("rules = []", "unknown key 'rules'; did you mean rule? Known: about, rule"),
            ("about = 'nothing'", "policy mine: expected at least one rule, got none"),
            ("rule = 3", "rule: expected tables, each headed [[rule]]"),
            ("[[rule]]\nnoise-below = 3", 'rule 1: expected a defense, such as defense = '
             '"jpeg:quality=40"; got none'),
            ("[[rule]]\ndefense = 3", "rule 1: defense: expected a text, got 3"),
            ("[[rule]]\ndefense = 'jpeg:quality=20,40'",
             "rule 1: defense 'jpeg:quality=20,40': expected one, got 2"),
            ("[[rule]]\ndefense = 'jpg'",
             "rule 1: unknown defense 'jpg'; did you mean jpeg? Known: "
             f"{', '.join(DEFENSES)}"),
            ("[[rule]]\ndefense = 'policy:paper'",
             "rule 1: a policy cannot contain another policy"),
            ("[[rule]]\nnoise-below = 'much'\ndefense = 'none'",
             "rule 1: noise-below: expected a number above 0, got 'much'"),
            ("[[rule]]\nperiod-below = 0\ndefense = 'none'",
             "rule 1: period-below: expected a number above 0, got 0"),
            ("[[rule]]\nnoise-below = true\ndefense = 'none'",
             "rule 1: noise-below: expected a number above 0, got True"),
            ("[[rule]]\nnoise-below = nan\ndefense = 'none'",
             "rule 1: noise-below: expected a number above 0, got nan"),
            (f"[[rule]]\nnoise-below = 1{'0' * 400}\ndefense = 'none'",
             f"rule 1: noise-below: expected a number above 0, got 1{'0' * 400}"),
            ("[[rule]]\nnoise_below = 3\ndefense = 'none'",
             "rule 1: unknown key 'noise_below'; did you mean noise-below? Known: noise-below, "
             "period-below, color-period-below, defense"),
            ("[[rule]]\nnoise-below = 3\ndefense = 'none'",
             "policy mine: the last rule has bounds; remove them, so that it covers all other "
             "images"),
        ],
    )  # fmt: skip
    def test_mistakes(self, mine, text, line):
        mine.write_text(text, encoding="utf-8")
        with refused(f"{mine}: {line}"):
            load_policy(str(mine))

    def test_what_is_no_toml(self, mine):
        mine.write_text("[[rule", encoding="utf-8")
        with pytest.raises(rsparse.InputError, match=f"^{mine}: is not valid TOML: "):
            load_policy(str(mine))

    def test_a_built_in_name_is_for_its_own_rules(self, tmp_path, mine):
        path = mine.rename(tmp_path / "Paper.toml")
        with refused(f"{path}: has other rules than the built-in policy paper; rename the file"):
            load_policy(str(path))
        path.write_text(load_policy("paper").as_toml(), encoding="utf-8")
        assert load_policy(str(path)).defense.rules == load_policy("paper").defense.rules

    def test_a_name_that_no_folder_may_have(self, tmp_path, mine):
        path = mine.rename(tmp_path / "my policy.toml")
        with refused(f"{path}: policy: expected a name of up to 64 letters, digits, '-', '_' and "
                     "'.', got 'my policy'"):  # fmt: skip
            load_policy(str(path))


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


def test_the_library_refuses_what_a_policy_says_by_itself(small_dictionary):
    image = np.zeros((9, 9, 3), dtype=np.uint8)
    rest = (
        "such as PurifyParameters(), since the policy default chooses which part of an image to "
        "code"
    )
    with refused(f"mask: cannot be used without parameters, {rest}"):
        rsparse.purify(image, small_dictionary, mask=np.ones((9, 9), dtype=bool))
    with refused("policy and parameters cannot be used together; give one of them"):
        rsparse.purify(image, small_dictionary, PurifyParameters(), policy="paper")


def test_one_dictionary_stands_for_any_name_in_the_library(small_dictionary, noisy):
    image = decode_image((noisy / "noise.png").read_bytes(), noisy)
    expected = rsparse.purify(
        image,
        small_dictionary,
        PurifyParameters(sparsity=1, stride=3, localize=False, prefilter=True),
    )
    clean = rsparse.purify(image, small_dictionary, policy="wide")
    np.testing.assert_array_equal(clean, expected)


def test_a_plan_names_policies_beside_its_file(tmp_path, mine):
    plan = tmp_path / "plan.toml"
    plan.write_text(
        'images = "imgs"\nmodel = "m.onnx"\nattack = "bim"\noutput = "out"\n'
        'policy = ["mine.toml", "default"]\ndefense = ["policy:mine.toml+jpeg", "median"]\n',
        encoding="utf-8",
    )
    assert [defense.text for defense in read_plan(plan).defenses] == [
        "none", "policy-mine", "policy-default", "policy-mine+jpeg-quality=75", "median-size=3",
    ]  # fmt: skip


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


@pytest.mark.parametrize(
    ("rules", "is_ours"),
    [
        ([{"defense": {"name": "jpeg", "quality": 40}}], False),
        ([{"noise_below": 2.0, "defense": {"name": "none"}},
          {"defense": {"name": "regionsparse", "sparsity": 1}}], True),
    ],
)  # fmt: skip
def test_a_policy_that_holds_regionsparse_is_no_baseline(rules, is_ours):
    defended = JudgedDefense(
        "policy-x", "policy", {"name": "policy", "policy": "x", "rules": rules}
    )
    assert (defended.is_ours, defended.is_baseline) == (is_ours, not is_ours)


def test_a_report_is_about_the_first_policy_that_holds_regionsparse():
    defenses = (("none", "none"), ("jpeg-quality=75", "jpeg"), ("policy-default", "policy"))
    subjects = find_subjects(make_evaluation(12, defenses=defenses))
    assert subjects.judged.text == "policy-default"
    assert [defense.text for defense in subjects.ablations] == ["policy-default"]


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


def test_a_rule_is_told_by_its_bounds_and_its_spec():
    first, *_, last = load_policy("sparing").defense.rules
    assert first.text == "noise below 0.5, period below 4: none"
    assert last.text == "otherwise: regionsparse:sparsity=1,localize=no,prefilter=yes"
    first = load_policy("default").defense.rules[0]
    assert first.text == (
        "noise below 4, color period below 2.5: regionsparse:sparsity=12,stride=8,localize=no"
    )


def test_a_report_tells_a_policy_by_its_rules():
    record = load_policy("paper").defense.as_record()
    assert flat({"a": {"b": 1, "defense": record}}) == {"a.b": 1, "a.defense": record}
    assert plain([{"name": "jpeg"}, record]) == (
        "jpeg; policy paper: otherwise: regionsparse:sparsity=2,feather=0,"
        "gradient_difference=horizontal,blur_size=1,working_size=0"
    )
    assert plain({"policy": "x", "rules": [{"defense": {"name": "magic"}}]}) == "policy x"
