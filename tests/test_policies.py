"""Policies by name and as files: in specs, in plans and in reports."""

from __future__ import annotations

import re

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
from tests.conftest import REPOSITORY
from tests.evaluations import make_evaluation
from tests.policy_files import MINE, mine
from tests.refusals import refused

__all__ = ["mine"]  # the fixture


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
