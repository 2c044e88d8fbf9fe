"""``rsparse train --noise``: a classifier learns to answer behind a denoiser."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rsparse.defenses import Resources
from rsparse.denoisers import parse_denoiser
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.onnx.file import load_onnx
from rsparse.models.onnx.provenance import RECORD_KEY
from rsparse.models.spec import InputOptions
from rsparse.options.train import TrainParameters
from rsparse.store.certificates import load_certificates
from rsparse.store.images import encode_png, to_unit
from tests.colour_training import weights_of
from tests.onnx_models import linear_classifier

pytest.importorskip("torch")

from rsparse.training.learner import Learner
from rsparse.training.noise import NoisyVersions
from rsparse.training.retrained import open_trainable
from rsparse.training.samples import Shard, draw, validation_view
from tests.colour_training import sample_of

SIZE = (8, 8)
LEVELS = [*range(86, 116, 3), *range(140, 170, 3)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_squares(tmp_path, SIZE)
    return tmp_path


def save_squares(folder: Path, size: tuple[int, int]) -> None:
    """Grey squares, and a classifier that tells light from dark and looks at stripes, too.

    No square has stripes, so they change no answer, but noise does through them.
    """
    (folder / "imgs").mkdir()
    for level in LEVELS:
        pixels = np.full((*size, 3), level, np.uint8)
        (folder / f"imgs/{level:03d}.png").write_bytes(encode_png(pixels))
    light = np.ones((3, *size)) / np.sqrt(3 * size[0] * size[1])
    stripes = light.copy()
    stripes[:, ::2] *= -1
    towards = (4 * light + 12 * stripes).reshape(1, -1)
    bias = np.array([1, -1]) * 4 * 0.5 * light.sum()
    linear_classifier(folder / "m.onnx", np.concatenate([-towards, towards]), size, bias)
    described = {"mean": [0, 0, 0], "std": [1, 1, 1], "labels": ["dark", "light"]}
    (folder / "m.onnx.json").write_text(json.dumps(described))


def exact_radii(model: Path) -> np.ndarray:
    """The distance of each square from the boundary: the exact radius of a linear classifier."""
    weights = weights_of(model)
    w, b = (np.diff(weights[name].astype(float), axis=0)[0] for name in ("w", "b"))
    levels = np.array(LEVELS)
    signed = (levels / 255 * w.sum() + b) / np.linalg.norm(w)
    return signed * np.where(levels < 128, -1, 1)


def test_exact_and_certified_radii_rise(tmp_path, monkeypatch, run_cli):
    """Of a linear classifier, noise teaches to ignore what only noise excites."""
    monkeypatch.chdir(tmp_path)
    save_squares(tmp_path, (2, 2))
    result = run_cli(
        "train", "imgs", "-m", "m.onnx", "--distill", "--distill-temperature", 1, "--noise", "0.25",
        "--denoiser", "none", "--epochs", 60, "--patience", "off", "--learning-rate", 0.2,
        "--batch-size", 4, "-o", "new.onnx",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    before, after = exact_radii(tmp_path / "m.onnx"), exact_radii(tmp_path / "new.onnx")
    assert (before > 0).all()
    assert (after > before).all()
    assert after.mean() > 2 * before.mean()
    bounds = []
    for model in ("m.onnx", "new.onnx"):
        done = run_cli(
            "certify", "imgs", "-m", model, "--preset", "unit", "--sigma", "0.25",
            "--denoiser", "none", "--n0", 20, "--n", 400, "-o", f"of-{model}",
        )  # fmt: skip
        assert done.exit_code == 0, done.stderr
        found, _ = load_certificates(tmp_path / f"of-{model}")
        bounds.append(found.certified[2][0])
    assert (bounds[0] <= before).all()
    assert (bounds[1] <= after).all()
    assert bounds[1].mean() > 1.5 * bounds[0].mean()


def test_the_record_names_the_noise_and_the_denoiser(folder, run_cli):
    arguments = ("train", "imgs", "-m", "m.onnx", "--distill", "--epochs", 1, "--noise", ".3,.12")
    for output, denoiser in (("a.onnx", "unrolled"), ("b.onnx", "gaussian")):
        result = run_cli(*arguments, "--denoiser", denoiser, "-o", output)
        assert result.exit_code == 0, result.stderr
        assert "noisy-0.12" in result.stderr
        assert "noisy-0.3" in result.stderr
    records = [
        json.loads(load_onnx(Path(name)).metadata[RECORD_KEY]) for name in ("a.onnx", "b.onnx")
    ]
    values = [record["parameters"] for record in records]
    assert values[0]["noise"] == [0.12, 0.3]
    assert values[0]["denoiser"] == parse_denoiser("unrolled").as_record()
    assert values[0]["codecs"] == parse_denoiser("unrolled").codecs()
    assert values[1]["denoiser"] == parse_denoiser("gaussian").as_record()
    assert values[0]["train_on"] == "noisy"


def test_other_trainings_do_not_mention_noise():
    assert not {"noise", "denoiser"} & TrainParameters(train_on="clean").as_record().keys()


@pytest.mark.parametrize("spec", ["none", "gaussian", "unrolled"])
def test_what_the_network_sees(tmp_path, spec, one_torch_core):
    """x + σ·noise from the image's own seed, denoised, neither rounded nor clipped."""
    path = linear_classifier(tmp_path / "m.onnx", np.ones((2, 192)), SIZE)
    parameters = TrainParameters(train_on="noisy", noise="0.25")
    trainable = open_trainable(load_classifier(path, InputOptions("unit")), parameters, "cpu")
    denoiser = parse_denoiser(spec)
    noise = NoisyVersions.from_sigmas((0.25,), denoiser, Resources())
    learner = Learner(trainable, parameters, "float32", 1, noise=noise)
    images = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), dtype=np.uint8)
    each = np.ones(2, np.float32)
    versions = ("clean", "noisy-0.25")
    shard = Shard(images, images, versions, np.zeros(2, np.int64), 0 * each, each, ((1,), (2, 3)))
    shown = learner._shown(shard).numpy().transpose(0, 2, 3, 1)
    learner.close()
    assert np.array_equal(shown[0], to_unit(images[0]))
    drawn = np.random.default_rng((2, 3)).standard_normal((*SIZE, 3), np.float32)
    noisy = to_unit(images[1]) + np.float32(0.25) * drawn
    assert np.array_equal(shown[1], denoiser.denoise(noisy, 0.25, Resources()))
    if spec == "none":
        assert shown[1].min() < 0


def test_noise_is_new_in_each_epoch_and_the_same_in_each_validation(tmp_path):
    parameters = TrainParameters(train_on="noisy", noise="0.25")
    samples = [sample_of(tmp_path, n, clean=np.zeros((4, 4, 3), np.uint8)) for n in ("a", "b")]
    views = [draw(s, ["noisy-0.25"], [], parameters, epoch) for s in samples for epoch in (0, 1, 1)]
    assert len({view.seed for view in views}) == 4
    assert all(view.eps == 0 for view in views)
    held_out = [validation_view(samples[0], "noisy-0.25", [], parameters) for _ in range(2)]
    assert held_out[0] == held_out[1]
    assert held_out[0].seed not in {view.seed for view in views}


def test_the_same_bytes_for_any_jobs(folder, run_cli):
    arguments = ("train", "imgs", "-m", "m.onnx", "--distill", "--noise", ".12", "--epochs", 2)
    for jobs in (1, 2):
        assert run_cli(*arguments, "--jobs", jobs, "-o", f"{jobs}.onnx").exit_code == 0
    assert (folder / "1.onnx").read_bytes() == (folder / "2.onnx").read_bytes()


def test_refusals(folder, assert_error):
    given = ("train", "imgs", "-m", "m.onnx", "--distill", "-o", "new.onnx")
    assert_error("--train-on noisy needs the strength of the noise: --noise 0.12",
                 *given, "--train-on", "noisy")  # fmt: skip
    assert_error("noise: expected a number above 0 and at most 2, or several separated by commas, "
                 "got '5'", *given, "--noise", "5")  # fmt: skip
    assert_error("noise: names the same noise twice: .1,0.1", *given, "--noise", ".1,0.1")
    assert_error(
        "--noise cannot be used with --train-on adversarial, which shows no noisy images",
        *given, "--noise", "0.12", "--train-on", "adversarial",
    )  # fmt: skip
    assert_error("--denoiser: cleans noisy images; add their noise with --noise 0.12",
                 *given, "--denoiser", "omp")  # fmt: skip
    assert_error("--dict d.h5: the denoiser unrolled:stride=4 does not use it; leave it out",
                 *given, "--noise", "0.12", "--dict", "d.h5")  # fmt: skip
    assert_error("--defense: --train-on noisy uses no purified images",
                 *given, "--noise", "0.12", "--defense", "jpeg")  # fmt: skip
    assert_error("--clean-share: expected less than 1 with --train-on noisy, got 1",
                 *given, "--noise", "0.12", "--clean-share", 1)  # fmt: skip
    linear_classifier(folder / "small.onnx", np.ones((2, 12)), (2, 2))
    assert_error(
        "--denoiser unrolled:stride=4: at the model's input size an image is 2×2 pixels, smaller "
        "than a patch of 8×8",
        "train", "imgs", "-m", "small.onnx", "--preset", "unit", "--distill", "--noise", "0.12",
        "-o", "new.onnx",
    )  # fmt: skip
