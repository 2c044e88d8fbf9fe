"""Evaluations of the studies that share attacked images make them only once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import inodes

pytest.importorskip("torch")

from rsparse.commands.evaluate.layout import Matrix
from rsparse.evaluation.model_choice import ModelChoice
from rsparse.evaluation.plan import Plan, parse_attacks
from rsparse.options.evaluate import EvaluateParameters
from rsparse.options.labels import LabelOptions
from studies.sharing import share_images
from tests.colour_evaluations import arguments, make_images
from tests.colours import MODEL


@pytest.fixture
def first(tmp_path, run_cli) -> Path:
    """A finished evaluation with extra checks, of FGSM and BIM."""
    made = tmp_path / "work" / "first"
    assert run_cli(*arguments(make_images(tmp_path / "imgs"), made)).exit_code == 0
    return made


def matrix_beside(
    first: Path, *attacks: str, model: Path = MODEL, limit: int | None = None, checks: bool = True
) -> Matrix:
    images = first.parent.with_name("imgs")
    values = EvaluateParameters(max_images=limit, extra_checks=checks)
    output = first.with_name("second")
    made = Plan((images,), LabelOptions(), ModelChoice(model), parse_attacks(attacks), (), output,
                parameters=values)  # fmt: skip
    return Matrix(made)


def test_another_evaluation_takes_up_what_was_linked(first, run_cli):
    second = first.with_name("second")
    half_linked = first.with_name(".second.part")
    half_linked.mkdir()
    (half_linked / "00.png").touch()
    share_images(matrix_beside(first, "fgsm:eps=2,8", "bim:eps=8"))
    assert inodes(second) == inodes(first)
    again = arguments(first.parent.with_name("imgs"), second, "--defense", "median")
    assert run_cli(*again).exit_code == 0
    assert inodes(second) == inodes(first)
    assert len(list((second / "trials" / "clean").iterdir())) == 4
    assert not half_linked.exists()


def test_only_what_is_needed_is_linked(first):
    share_images(matrix_beside(first, "bim:eps=8", "bim:eps=2", checks=False))
    made = first.with_name("second") / "attacks" / "colours"
    assert [path.name for path in made.iterdir()] == ["bim-eps=8"]


def test_evaluations_of_other_photographs_or_classifiers_share_nothing(first, tmp_path):
    (tmp_path / "retrained").mkdir()
    retrained = tmp_path / "retrained" / "colours.onnx"
    retrained.write_bytes(MODEL.read_bytes() + b"\x32\x00")  # an empty doc string
    shutil.copytree(first, first.with_name("interrupted"), ignore=lambda *_: {"manifest.json"})
    share_images(matrix_beside(first, "bim:eps=8", limit=5))
    share_images(matrix_beside(first, "bim:eps=8", model=retrained))
    assert not first.with_name("second").exists()
