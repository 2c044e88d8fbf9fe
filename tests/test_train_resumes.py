"""An interrupted ``rsparse train`` resumes and writes the same bytes as an uninterrupted run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.colour_training import colours, save_colours
from tests.colours import MODEL
from tests.processes import start

pytest.importorskip("torch")

from rsparse.training import loop
from rsparse.training.learner import Learner

__all__ = ["colours"]  # the fixture

OPTIONS = (
    "--train-on", "both", "--defense", "median", "--patience", "off", "--learning-rate", 0.02,
    "--batch-size", 4, "--jobs", 1, "--adversarial-defense", "median", "--attack-steps", 2,
    "--original-share", 0.4,
)  # fmt: skip


def checkpoint_of(output: Path) -> Path:
    return output.with_name(f".{output.name}.rsparse-checkpoint.safetensors")


def header_of(checkpoint: Path) -> dict:
    content = checkpoint.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return json.loads(header["__metadata__"]["rsparse"])


def test_killed_and_taken_up_again(run_cli, tmp_path):
    folder = save_colours(tmp_path / "imgs", 24)
    labels = ("--labels", tmp_path / "labels.csv")
    arguments = ("train", folder, "-m", MODEL, *labels, *OPTIONS, "--epochs", 20)
    broken, whole = tmp_path / "broken.onnx", tmp_path / "whole.onnx"
    with start(*arguments, "-o", broken) as running:
        deadline = time.monotonic() + 100
        while not checkpoint_of(broken).exists() or header_of(checkpoint_of(broken))["epoch"] < 3:
            assert running.poll() is None, running.stderr and running.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        os.killpg(running.pid, signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    assert not broken.exists()
    epochs = header_of(checkpoint_of(broken))["epoch"]
    assert 3 <= epochs < 20
    result = run_cli(*arguments, "-o", broken)
    assert result.exit_code == 0, result.stderr
    assert f"20 ({epochs} in an earlier run)" in result.stderr
    assert run_cli(*arguments, "-o", whole).exit_code == 0
    assert broken.read_bytes() == whole.read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {
        "imgs",
        "labels.csv",
        "broken.onnx",
        "whole.onnx",
    }


@pytest.mark.parametrize("at", [1, 2, 4, 5, 7])
def test_stopped_at_any_step(run_cli, monkeypatch, colours, tmp_path, at):
    """Even within an epoch: the next run does the remaining batches."""
    monkeypatch.setattr(loop, "SAVE_EVERY", 1)
    arguments = (
        "train", colours, "-m", MODEL, "--distill", "--train-on", "adversarial", "--epochs", 3,
        "--batch-size", 4, "--learning-rate", 0.1,
    )  # fmt: skip
    whole, broken = tmp_path / "whole.onnx", tmp_path / "broken.onnx"
    run_cli(*arguments, "-o", whole)
    step, steps = Learner.step, []

    def stopping(self, shards, rate):
        steps.append(rate)
        if len(steps) == at:
            raise KeyboardInterrupt
        return step(self, shards, rate)

    monkeypatch.setattr(Learner, "step", stopping)
    assert run_cli(*arguments, "-o", broken).exit_code == 130
    result = run_cli(*arguments, "-o", broken)
    assert result.exit_code == 0, result.stderr
    assert len(steps) == 9 + 1  # three epochs of three batches, and the interrupted step
    assert broken.read_bytes() == whole.read_bytes()


def test_other_images_begin_anew(run_cli, monkeypatch, colours, tmp_path):
    """A checkpoint records its images; if one has changed, training starts again."""
    arguments = (
        "train",
        colours,
        "-m",
        MODEL,
        "--distill",
        "--train-on",
        "adversarial",
        "--epochs",
        2,
    )
    out, whole = tmp_path / "new.onnx", tmp_path / "whole.onnx"
    noted = loop.Training._note

    def stopping(self, trained, validated):
        noted(self, trained, validated)
        if trained is not None:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop.Training, "_note", stopping)
        assert run_cli(*arguments, "-o", out).exit_code == 130
    assert checkpoint_of(out).exists()
    shutil.copy(colours / "01.png", colours / "02.png")
    result = run_cli(*arguments, "-o", out)
    assert result.exit_code == 0, result.stderr
    assert "earlier run" not in result.stderr.split("epochs")[1]
    run_cli(*arguments, "-o", whole)
    assert out.read_bytes() == whole.read_bytes()
    assert not checkpoint_of(out).exists()


def test_a_run_with_other_parameters_is_refused(
    run_cli, assert_error, monkeypatch, colours, tmp_path
):
    arguments = (
        "train",
        colours,
        "-m",
        MODEL,
        "--distill",
        "--train-on",
        "adversarial",
        "--epochs",
        2,
    )
    out = tmp_path / "new.onnx"
    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert run_cli(*arguments, "-o", out).exit_code == 130
    assert_error(
        f"{out}: holds an unfinished run with other inputs or parameters; "
        "finish that run, or pass --overwrite to start again",
        *arguments, "--seed", 5, "-o", out,
    )  # fmt: skip
    assert run_cli(*arguments, "--seed", 5, "-o", out, "--overwrite").exit_code == 0
