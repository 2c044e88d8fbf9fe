"""``rsparse evaluate`` refuses before it computes, and says whether requirements are met."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.colours import MODEL, colours, picture, save

pytest.importorskip("foolbox")

__all__ = ["colours"]  # the fixture
HAS = "it has gray-box, bim, eps=2, eps=8, none, median-size=3, clean"


@pytest.fixture
def words(colours, tmp_path) -> tuple[object, ...]:
    return (
        "evaluate", colours, "-m", MODEL, "-a", "bim:eps=2,8", "--defense", "median",
        "--no-extra-checks", "-j", 1, "-o", tmp_path / "eval",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("required", "message"),
    [
        ("adaptive>0.1",
         "require: expected WHERE>=SHARE, such as adaptive.eps=2>=0.1, got 'adaptive>0.1'"),
        ("bim.eps=4>=0.1", f"require: the evaluation has no 'eps=4' (in bim.eps=4>=0.1); {HAS}"),
        ("adaptive>=0.1", f"require: the evaluation has no 'adaptive' (in adaptive>=0.1); {HAS}"),
        ("jpeg.bim>=0.1", f"require: the evaluation has no 'jpeg' (in jpeg.bim>=0.1); {HAS}"),
    ],
)  # fmt: skip
def test_a_requirement_that_the_plan_cannot_answer(
    assert_error, words, tmp_path, required, message
):
    assert_error(message, *words, "--require", "bim.eps=2>=0.1", "--require", required)
    assert_error(message, *words, "--require", required, "--dry-run")
    assert not (tmp_path / "eval").exists()


def test_adversarial_images_of_other_photographs(assert_error, words, tmp_path):
    save(tmp_path / "others/dog.png", picture(0, 30))
    line = (
        f"{tmp_path / 'others'}: none of its images has the name of a benign one; it has 'dog', "
        "the benign images 'blue/mid'"
    )
    assert_error(line, *words, "--adversarial", tmp_path / "others")
    assert not (tmp_path / "eval").exists()


def test_requirements_decide_the_exit_code(run_cli, words, tmp_path):
    met = run_cli(*words, "--require", "clean>=1", "--require", "gray-box.eps=8>=0", "--json")
    assert met.exit_code == 0, met.stderr
    told = json.loads(met.stdout)["requirements"]
    assert [(each["requirement"], each["met"], each["n"]) for each in told] == [
        ("clean>=1", True, 4), ("gray-box.eps=8>=0", True, 4),
    ]  # fmt: skip
    assert told[0]["defense"] == "median-size=3"
    failed = run_cli(*words, "--require", "clean>=0.5", "--require", "none.bim.eps=8>=1")
    assert failed.exit_code == 1
    assert failed.stdout == f"{tmp_path / 'eval'}\n"
    assert "clean>=0.5: met: 1.000 of 4 images are right without an attack" in failed.stderr
    assert "none.bim.eps=8>=1: NOT met: " in failed.stderr
    report = ("report", tmp_path / "eval", "--format", "md", "-o", tmp_path / "page")
    same = run_cli(*report, "--require", "none.bim.eps=8>=1")
    assert same.exit_code == 1
    assert [line for line in same.stderr.splitlines() if "NOT met" in line] == [
        line for line in failed.stderr.splitlines() if "NOT met" in line
    ]


def test_attacks_of_another_evaluation_are_found_before_the_first_attack(run_cli, words, tmp_path):
    """The first attack is missing, the second was made with another seed."""
    assert run_cli(*words).exit_code == 0
    folder = tmp_path / "eval/attacks"
    first, second = (next(folder.glob(f"*/bim-eps={eps}")) for eps in (2, 8))
    shutil.rmtree(first)
    result = run_cli(*words, "--seed", 1)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(f"rsparse: error: {second}: was made from ")
    assert not first.exists()


def test_a_missing_extra(colours, tmp_path):
    code = (
        "import sys\n"
        "sys.modules['foolbox'] = None\n"
        "from rsparse.cli import main\n"
        "sys.exit(main())\n"
    )
    words = ("evaluate", colours, "-m", MODEL, "-a", "bim", "-o", tmp_path / "eval")
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert result.returncode == 2
    assert "attacks need foolbox, which is not installed" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "eval").exists()
