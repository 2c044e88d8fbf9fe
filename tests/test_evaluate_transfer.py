"""``rsparse evaluate --scenario transfer``: attacks made on another model."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.evaluation import statistics
from rsparse.evaluation.loading import load_evaluation
from tests.colour_evaluations import arguments, make_images
from tests.colours import read
from tests.onnx_models import linear_classifier

pytest.importorskip("torch")


def test_transfer_between_models_of_other_sizes(tmp_path, run_cli, assert_error):
    images = make_images(tmp_path / "imgs")
    weights = np.repeat(np.eye(3), 12 * 12, axis=1) / 144
    source = linear_classifier(tmp_path / "other.onnx", weights * 30, (12, 12))
    result = run_cli(
        *arguments(images, tmp_path / "eval"),
        "--scenario", f"transfer:model={source},preset=unit", "--scenario", "gray-box",
        "--no-extra-checks",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    found = load_evaluation(tmp_path / "eval")
    assert [(c.scenario, c.source) for c in found.columns] == (
        [("", "")] + [("transfer", "other")] * 3 + [("gray-box", "colours")] * 3
    )
    scenarios = found.record["parameters"]["scenarios"]
    assert [scenario["name"] for scenario in scenarios] == ["transfer", "gray-box"]
    assert (scenarios[0]["model"], scenarios[0]["input"]["size"]) == ("other.onnx", [12, 12])
    attacked = read(tmp_path / "eval/attacks/other/fgsm-eps=8/red/00.png")
    assert attacked.shape == (12, 12, 3)
    assert read(tmp_path / "eval/clean/red/00.png").shape == (16, 16, 3)
    gray = statistics.mean_attacked(
        found, found.defenses[0], statistics.attacked_columns(found, "gray-box")
    )
    transferred = statistics.mean_attacked(
        found, found.defenses[0], statistics.attacked_columns(found, "transfer")
    )
    assert gray <= transferred <= 1
    outcomes = {c.outcome for c in found.checks if c.name == "transfer is weaker than gray-box"}
    assert outcomes == {"undecided"}  # only 8 images
    assert "attacks on other, judged colours" in result.stderr
    assert_error(  # its attention maps would be those of a model that is not evaluated
        f"{source}: is another model of the evaluation; give colours, which it is about",
        "report", tmp_path / "eval", "-o", tmp_path / "report", "--model", source,
        "--preset", "unit",
    )  # fmt: skip
