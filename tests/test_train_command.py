"""``rsparse train``: writes the same graph as the given classifier with new weights."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import onnx
import pytest
from PIL import Image

from rsparse.commands.train.run import purified_beside
from rsparse.commands.train.train import train_model
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.onnx.file import load_onnx
from rsparse.models.onnx.provenance import RECORD_KEY
from rsparse.models.spec import InputOptions
from rsparse.options.labels import LabelOptions
from rsparse.options.train import TrainParameters
from rsparse.store.folders import read_manifest
from rsparse.store.images import encode_png
from rsparse.store.job import METHODS
from rsparse.store.predictions import load_predictions
from rsparse.store.sole_writer import sole_writer
from tests.colour_training import colours, labelled, weights_of
from tests.colours import MODEL
from tests.conftest import REPOSITORY, tree_of

pytest.importorskip("torch")

__all__ = ["colours", "labelled"]  # the fixtures


def test_on_purified_images(run_cli, labelled, colours, tmp_path):
    """The graph, names and metadata are kept; the weights change; the record is complete."""
    out, plot = tmp_path / "new.onnx", tmp_path / "curve.png"
    result = run_cli(*labelled, "--defense", "jpeg:quality=40", "-o", out, "--plot", plot)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{out}\n"
    assert "epoch 2" in result.stderr
    assert "jpeg-quality=40" in result.stderr
    before, after = onnx.load(MODEL), onnx.load(out)
    assert list(after.graph.node) == list(before.graph.node)
    assert list(after.graph.input) == list(before.graph.input)
    assert list(after.graph.output) == list(before.graph.output)
    old, new = weights_of(MODEL), weights_of(out)
    assert old.keys() == new.keys()
    assert all(not np.array_equal(old[name], new[name]) for name in old)
    with Image.open(plot) as picture:
        assert picture.size == (1000, 440)
    metadata = load_onnx(out).metadata
    assert load_classifier(out).check().spec == load_classifier(MODEL).check().spec
    record = json.loads(metadata[RECORD_KEY])
    assert (record["format"], record["stage"], record["seed"]) == ("rsparse-model", "train", 0)
    assert record["parameters"]["labels"] == "labels.csv"
    names = [source["name"] for source in record["inputs"]]
    assert names == ["imgs", "colours.onnx", "jpeg-quality=40", "labels.csv"]
    made = record["inputs"][2]["record"]
    assert made["parameters"]["defense"] == {"name": "jpeg", "quality": 40}
    history = json.loads(metadata["rsparse.training"])
    assert [entry["epoch"] for entry in history] == [0, 1, 2]
    assert set(history[2]["validation"]["versions"]) == {"clean", "jpeg-quality=40"}
    assert {p.name for p in tmp_path.iterdir()} == {"imgs", "labels.csv", out.name, plot.name}


def test_adversarial_images_behind_defenses(run_cli, labelled, dict_file, tmp_path):
    """There is one version per defense; the record names them and the dictionary."""
    out = tmp_path / "new.onnx"
    result = run_cli(
        *labelled, "--train-on", "adversarial", "--attack-steps", 3, "--dict", dict_file,
        "--adversarial-defense", "regionsparse:sparsity=2", "--adversarial-defense", "none",
        "-o", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    metadata = load_onnx(out).metadata
    versions = {"clean", "adversarial", "adversarial+regionsparse-sparsity=2"}
    history = json.loads(metadata["rsparse.training"])
    assert set(history[2]["validation"]["versions"]) == versions
    losses = {name: found["loss"] for name, found in history[0]["validation"]["versions"].items()}
    assert losses["adversarial"] > losses["clean"]
    assert losses["adversarial+regionsparse-sparsity=2"] != losses["adversarial"]
    record = json.loads(metadata[RECORD_KEY])
    behind = record["parameters"]["adversarial_defenses"]
    assert [defense["name"] for defense in behind] == ["regionsparse", "none"]
    assert record["parameters"]["attack_steps"] == 3
    names = [source["name"] for source in record["inputs"]]
    assert names == ["imgs", "colours.onnx", dict_file.name, "labels.csv"]


def test_adversarial_images_made_through_defenses(run_cli, labelled, dict_file, tmp_path):
    """An attacker who knows the defense is at least as strong behind it."""
    out = tmp_path / "new.onnx"
    spec = "regionsparse:sparsity=2"
    result = run_cli(
        *labelled, "--train-on", "adversarial", "--attack-steps", 3, "--dict", dict_file,
        "--through", spec, "--adversarial-defense", spec, "-o", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    metadata = load_onnx(out).metadata
    history = json.loads(metadata["rsparse.training"])
    losses = {name: found["loss"] for name, found in history[0]["validation"]["versions"].items()}
    text = "regionsparse-sparsity=2"
    assert set(losses) == {"clean", f"adversarial+{text}", f"adversarial-through+{text}"}
    assert losses[f"adversarial-through+{text}"] > losses[f"adversarial+{text}"] > losses["clean"]
    values = json.loads(metadata[RECORD_KEY])["parameters"]
    assert [values[key][0]["name"] for key in ("through", "adversarial_defenses")] == [
        "regionsparse",
        "regionsparse",
    ]


def test_other_commands_read_it_and_nest_its_record(run_cli, labelled, colours, tmp_path):
    out = tmp_path / "new.onnx"
    run_cli(*labelled, "--train-on", "clean", "-o", out)
    result = run_cli("classify", colours, "-m", out, "-o", tmp_path / "pred.h5")
    assert result.exit_code == 0, result.stderr
    _, record = load_predictions(tmp_path / "pred.h5")
    (model,) = [source for source in record["inputs"] if source["name"] == "new.onnx"]
    assert model["record"]["stage"] == "train"
    shown = run_cli("show", out)
    assert shown.stdout.startswith(
        f"new.onnx  rsparse-model 2, by train (method {METHODS['train']}) of rsparse "
    )
    assert "colours.onnx  sha256 " in shown.stdout
    assert run_cli("show", MODEL).stdout.startswith("colours.onnx  onnx, by model tag\n")
    result = run_cli(
        "train", colours, "-m", out, "--distill", "--train-on", "adversarial", "--epochs", 1,
        "-o", tmp_path / "newer.onnx",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    record = json.loads(load_onnx(tmp_path / "newer.onnx").metadata[RECORD_KEY])
    assert [source["record"] is None for source in record["inputs"]] == [True, False]


@pytest.mark.parametrize(
    "options",
    [
        ("--train-on", "adversarial", "--attack-eps", 4),
        ("--train-on", "both", "--defense", "median", "--defense", "jpeg:quality=30,60"),
        (
            "--train-on",
            "both",
            "--defense",
            "median",
            "--adversarial-defense",
            "median",
            "--adversarial-defense",
            "none",
            "--adversarial-share",
            0.7,
            "--attack-steps",
            2,
        ),
        ("--train-on", "adversarial", "--through", "slq", "--through", "bilateral+jpeg"),
        ("--train-on", "clean", "--optimizer", "sgd", "--precision", "bf16"),
    ],
    ids=["adversarial", "both", "behind", "through", "clean"],
)
def test_the_same_bytes_for_any_jobs(run_cli, labelled, tmp_path, options):
    common = (*labelled, *options, "--batch-size", 5, "--shard-size", 2)
    for jobs in (1, 3):
        assert run_cli(*common, "-o", tmp_path / f"{jobs}.onnx", "--jobs", jobs).exit_code == 0
    assert (tmp_path / "1.onnx").read_bytes() == (tmp_path / "3.onnx").read_bytes()
    assert run_cli(*common, "-o", tmp_path / "seed.onnx", "--seed", 1).exit_code == 0
    assert (tmp_path / "1.onnx").read_bytes() != (tmp_path / "seed.onnx").read_bytes()


def test_distilling_helps_on_purified_images(run_cli, colours, tmp_path):
    """The defense swaps colours; the network learns to answer as it does on clean images."""
    swapped = tmp_path / "swapped"
    swapped.mkdir()
    for path in colours.iterdir():
        pixels = np.asarray(Image.open(path))
        (swapped / path.name).write_bytes(encode_png(np.ascontiguousarray(pixels[..., ::-1])))
    result = run_cli(
        "train", colours, "-m", MODEL, "--distill", "--purified-images", swapped,
        "--clean-share", 0, "--epochs", 30, "--learning-rate", 0.1,
        "--patience", "off", "--validation-share", 0.3, "-o", tmp_path / "new.onnx", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    outcome = json.loads(result.stdout)
    assert outcome["labels"] == "the original model's logits"
    assert (outcome["training_images"], outcome["validation_images"]) == (8, 4)
    first = outcome["epochs"][0]["validation"]["versions"]
    assert first["clean"] == {"loss": 0.0, "accuracy": 1.0}
    assert first["swapped"]["accuracy"] < 0.8
    kept = outcome["epochs"][outcome["best_epoch"]]["validation"]
    assert kept["loss"] < 0.8 * outcome["epochs"][0]["validation"]["loss"]
    losses = [epoch["validation"]["loss"] for epoch in outcome["epochs"]]
    assert min(losses) == kept["loss"] == kept["versions"]["swapped"]["loss"]  # no clean share


def test_progress_tells_loss_and_accuracy(colours, tmp_path):
    class Told:
        is_shown = False

        def __init__(self) -> None:
            self.texts, self.total, self.done = [], [], []

        def start(self, task, total, done=0, **known):
            self.texts.append(task)
            self.total.append(total)
            self.done.append(done)

        def advance(self, items=1, work=None):
            self.done[-1] += items

        def describe(self, task):
            self.texts.append(task)

    told = Told()
    parameters = TrainParameters(train_on="clean", epochs=2, batch_size=8)
    train_model(
        [colours],
        MODEL,
        tmp_path / "new.onnx",
        parameters,
        labels=LabelOptions(tmp_path / "labels.csv"),
        progress=told,
    )
    assert told.total == told.done == [12, 1, 12, 12]  # 11 + 1 in each epoch
    assert told.texts[:2] == ["read", "validate"]
    epochs = [text for text in told.texts if re.fullmatch(r"epoch \d of 2", text)]
    assert epochs == ["epoch 1 of 2", "epoch 2 of 2"]
    assert re.fullmatch(r"epoch 2 of 2: loss \d\.\d{3}, accuracy \d+ %", told.texts[-1])


class TestPurifiedImages:
    def test_they_are_made_once(self, run_cli, labelled, tmp_path):
        """The cache holds an artifact of purify, which the next training reuses."""
        cache, options = tmp_path / "cache", ("--defense", "median", "--train-layers", "head")
        run_cli(*labelled, *options, "--purified-cache", cache, "-o", tmp_path / "a.onnx")
        made = tree_of(cache)
        assert read_manifest(cache / "median-size=3")["stage"] == "purify"
        size = list(load_classifier(MODEL).spec.size)
        assert read_manifest(cache / "median-size=3")["parameters"]["size"] == size
        stamps = {p: p.stat().st_mtime_ns for p in cache.rglob("*.png")}
        run_cli(*labelled, *options, "--purified-cache", cache, "-o", tmp_path / "b.onnx")
        assert {p: p.stat().st_mtime_ns for p in cache.rglob("*.png")} == stamps
        assert tree_of(cache) == made
        run_cli(*labelled, *options, "-o", tmp_path / "c.onnx")
        contents = {(tmp_path / f"{name}.onnx").read_bytes() for name in "abc"}
        assert len(contents) == 1

    def test_those_of_other_images_are_refused(self, assert_error, run_cli, labelled, tmp_path):
        cache = tmp_path / "cache"
        common = (*labelled, "--defense", "median", "--purified-cache", cache)
        run_cli(*common, "-o", tmp_path / "a.onnx")
        changed = tmp_path / "imgs" / "03.png"
        shutil.copy(tmp_path / "imgs" / "04.png", changed)
        place = cache / "median-size=3"
        assert_error(
            f"{place}: was purified from other images, or with another dictionary or device; "
            "choose another output or pass --overwrite",
            *common, "-o", tmp_path / "b.onnx",
        )  # fmt: skip
        result = run_cli(*common, "-o", tmp_path / "b.onnx", "--overwrite")
        assert result.exit_code == 0, result.stderr

    def test_with_a_dictionary(self, assert_error, run_cli, labelled, dict_file, tmp_path):
        """Images purified with another dictionary are not reused."""
        cache = tmp_path / "cache"
        common = (*labelled, "--defense", "regionsparse:sparsity=1", "--purified-cache", cache)
        result = run_cli(*common, "--dict", dict_file, "-o", tmp_path / "a.onnx")
        assert result.exit_code == 0, result.stderr
        assert_error(
            f"{cache / 'regionsparse-sparsity=1'}: was purified from other images, or with another "
            "dictionary or device; choose another output or pass --overwrite",
            *common, "--dict", REPOSITORY / "fixtures" / "dict.h5", "-o", tmp_path / "b.onnx",
        )  # fmt: skip


def test_beside_another_run(assert_error, labelled, tmp_path):
    """While another run purifies images for the classifier, the message names the classifier."""
    out = tmp_path / "new.onnx"
    with sole_writer(purified_beside(out)):
        assert_error(
            f"{out}: is being written by another run",
            *labelled, "--defense", "median", "-o", out,
        )  # fmt: skip


def test_one_bad_image_does_not_stop_it(run_cli, labelled, colours, tmp_path):
    (colours / "05.png").write_bytes(b"no image")
    out = tmp_path / "new.onnx"
    result = run_cli(*labelled, "--defense", "median", "-o", out)
    assert result.exit_code == 1
    message = f"{colours / '05.png'}: is not a PNG, JPEG, WebP, TIFF or BMP image"
    assert result.stderr.splitlines()[-1] == f"rsparse: skipped: {message}"
    assert result.stdout == f"{out}\n"
    record = json.loads(load_onnx(out).metadata[RECORD_KEY])
    assert record["inputs"][0]["name"] == "imgs"


def test_an_image_without_its_purified_version(run_cli, labelled, colours, tmp_path):
    purified = tmp_path / "purified"
    shutil.copytree(colours, purified)
    (purified / "07.png").unlink()
    result = run_cli(
        *labelled, "--purified-images", purified, "-o", tmp_path / "new.onnx", "--json"
    )
    assert result.exit_code == 1
    outcome = json.loads(result.stdout)
    assert outcome["done"] == 11
    assert [entry["name"] for entry in outcome["failed"]] == ["07"]
    assert outcome["failed"][0]["error"].endswith("is not among the purified images")


@pytest.mark.slow
@pytest.mark.shared
def test_last_layers_of_a_real_classifier(run_cli, shared, tmp_path):
    """A short distillation brings MobileNet closer to its clean outputs on compressed photos."""
    photos = tmp_path / "imgs"
    photos.mkdir()
    for path in sorted((shared / "train").glob("*.jpg"))[:1000:25]:
        shutil.copy(path, photos)
    model = shared / "models" / "mobilenet_v2_224.onnx"
    result = run_cli(
        "train", photos, "-m", model, "--preset", "mobilenet-v2", "--distill",
        "--defense", "jpeg:quality=10",
        "--train-layers", "*expanded_conv_16*,*.Conv_1.*,*.Logits.*",
        "--epochs", 2, "--validation-share", 0.3, "-o", tmp_path / "new.onnx", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    outcome = json.loads(result.stdout)
    first, best = (outcome["epochs"][n]["validation"] for n in (0, outcome["best_epoch"]))
    assert outcome["best_epoch"] > 0
    assert (
        best["versions"]["jpeg-quality=10"]["loss"] < first["versions"]["jpeg-quality=10"]["loss"]
    )
    classifier = load_classifier(tmp_path / "new.onnx")
    original = load_classifier(model, InputOptions(preset="mobilenet-v2")).check()
    assert classifier.spec == original.spec
