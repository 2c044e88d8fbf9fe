"""``rsparse attack --through``: the defense in the attacked model, and success behind it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rsparse.core.compression import jpeg, reduce_bits
from rsparse.store.files import sha256_of_file
from rsparse.store.folders import read_manifest, record_of
from tests.colours import MARGINS, MODEL, answer, entries_of, picture, read, save, true_labels
from tests.conftest import REPOSITORY, tree_of

pytest.importorskip("foolbox")

from rsparse.attacks.attackable import WHAT_WORKS
from tests.onnx_models import quantised

DICT = REPOSITORY / "fixtures" / "dict.h5"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name, label in true_labels().items():
        save(tmp_path / "imgs" / f"{name}.png", picture(label, MARGINS[name]))
    return tmp_path / "imgs"


def attacked(run_cli, images, output, *more: object):
    result = run_cli("attack", images, "-m", MODEL, "-o", output, *more)
    assert result.exit_code == 0, result.stderr
    return result


@pytest.mark.parametrize("attack", ["bim:eps=8", "square:eps=8,queries=5", "noise:eps=4"])
def test_no_defense_gives_the_bytes_of_the_plain_attack(run_cli, images, tmp_path, attack):
    attacked(run_cli, images, tmp_path / "plain", "-a", attack)
    attacked(run_cli, images, tmp_path / "none", "-a", attack, "--through", "none")
    plain, none = (
        {name: (tmp_path / place / name).read_bytes() for name in tree_of(tmp_path / place)}
        for place in ("plain", "none")
    )
    assert plain == none


def test_success_is_measured_on_the_bare_model_and_behind_the_defense(run_cli, images, tmp_path):
    """With two bits a large margin survives a change that would cost it without them."""
    out = tmp_path / "adv"
    result = attacked(run_cli, images, out, "-a", "fgsm:eps=31", "--through", "bit-depth:bits=2")
    labels = true_labels()
    for name, entry in entries_of(out).items():
        benign, pixels = read(images / f"{name}.png"), read(out / f"{name}.png")
        assert np.abs(benign.astype(int) - pixels).max() == 31
        assert entry["prediction"] == answer(pixels / 255)
        assert entry["defended_before"] == answer(reduce_bits(benign, 2) / 255)
        assert entry["defended"] == answer(reduce_bits(pixels, 2) / 255)
        assert entry["success"] == (entry["prediction"] != labels[name])
        assert entry["success_defended"] == (entry["defended"] != labels[name])
    found = list(entries_of(out).values())
    assert any(entry["success"] != entry["success_defended"] for entry in found)
    assert "Behind bit-depth:bits=2: accuracy before → after" in result.stderr
    rows = [line for line in result.stderr.splitlines() if line.split()[:1] == ["fgsm-eps=31"]]
    right = [
        [entry[key] == entry["label"] for entry in found] for key in ("defended_before", "defended")
    ]
    assert rows[1].split()[1:4] == [f"{25 * sum(right[0])}", "→", f"{25 * sum(right[1])}"]


def test_json_tells_both(run_cli, images, tmp_path):
    result = attacked(
        run_cli, images, tmp_path / "adv", "-a", "bim:eps=16", "--through", "jpeg", "--json"
    )
    (summary,) = json.loads(result.stdout)["attacks"]
    assert summary["accuracy_defended_before"] == 1
    assert 0 <= summary["accuracy_defended"] <= 1 - summary["success_defended"]
    assert summary["success"] is not None


def test_the_attack_is_stronger_behind_the_defense_than_one_that_ignores_it(
    run_cli,
    images,
    tmp_path,
):
    """JPEG averages images over two pixels, so changes that alternate are lost."""
    through = ("-a", "bim:eps=6", "--through", "jpeg:quality=30")
    attacked(run_cli, images, tmp_path / "plain", "-a", "bim:eps=6")
    attacked(run_cli, images, tmp_path / "through", *through)

    def gained(place: str) -> float:
        return sum(
            float(
                np.mean(jpeg(read(tmp_path / place / f"{name}.png"), 30).mean((0, 1))[label])
                < np.mean(jpeg(read(images / f"{name}.png"), 30).mean((0, 1))[label])
            )
            for name, label in true_labels().items()
        )

    assert gained("through") == len(MARGINS) >= gained("plain")


def test_the_record_names_the_defense_and_its_dictionary(run_cli, images, tmp_path):
    out = tmp_path / "adv"
    attacked(run_cli, images, out, "-a", "fgsm:eps=4", "--through",
             "regionsparse:sparsity=1,stride=4+slq", "-d", DICT, "--backward", "supports",
             "--draws", 2, "--seed", 5)  # fmt: skip
    record = record_of(read_manifest(out))
    values = record["parameters"]
    assert values["through"]["name"] == "regionsparse+slq"
    assert (values["backward"], values["draws"], record["seed"]) == ("supports", 2, 5)
    assert sha256_of_file(DICT) in {source["sha256"] for source in record["inputs"]}
    verified = run_cli("verify", out)
    assert verified.exit_code == 0, verified.stderr
    plain = tmp_path / "plain"
    attacked(run_cli, images, plain, "-a", "fgsm:eps=4")
    assert "through" not in record_of(read_manifest(plain))["parameters"]


@pytest.mark.slow
def test_any_number_of_jobs_gives_the_same_bytes(run_cli, images, tmp_path, monkeypatch):
    monkeypatch.setattr("rsparse.commands.attack.run.MIN_PARALLEL_SECONDS", 0.0)
    words = ("-a", "bim:eps=4,steps=2", "--through", "policy:paper", "-d", DICT,
             "--batch-size", 2)  # fmt: skip
    for jobs in (1, 2):
        attacked(run_cli, images, tmp_path / str(jobs), *words, "-j", jobs)
    one, two = (
        {name: (tmp_path / place / name).read_bytes() for name in tree_of(tmp_path / place)}
        for place in "12"
    )
    assert one == two


def test_a_model_without_gradients_is_attacked_by_its_answers(run_cli, tmp_path):
    model, out = quantised(tmp_path / "int8.onnx"), tmp_path / "adv"
    for channel in range(3):
        pixels = np.full((8, 8, 3), 120, np.uint8)
        pixels[..., channel] += 6
        save(tmp_path / f"imgs/{channel}.png", pixels)
    words = ("attack", tmp_path / "imgs", "-m", model, "--preset", "unit", "--predicted-labels",
             "--through", "bit-depth:bits=6")  # fmt: skip
    result = run_cli(*words, "-a", "square:eps=16,queries=30", "-o", out)
    assert result.exit_code == 0, result.stderr
    assert read_manifest(out)["parameters"]["device"] == "onnxruntime"
    assert any(entry["success_defended"] for entry in entries_of(out).values())
    refused = run_cli(*words, "-a", "bim", "-o", tmp_path / "bim")
    assert refused.exit_code == 2
    assert WHAT_WORKS in refused.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--backward", "smooth"),
            "--backward needs --through SPEC, the defense to attack through",
        ),
        (("--draws", "3"), "--draws needs --through SPEC, the defense to attack through"),
        (("-d", DICT), "--dict needs --through SPEC, the defense to attack through"),
        (
            ("--through", "jpeg:quality=20,40"),
            "--through 'jpeg:quality=20,40': expected one defense, got 2",
        ),
        (
            ("--through", "jpeg", "--backward", "atoms"),
            "jpeg has no backward 'atoms'; it has smooth, identity",
        ),
        (
            ("--through", "regionsparse:dictionary=dct"),
            "regionsparse needs a dictionary named 'dct': --dict dct=dict.h5",
        ),
    ],
    ids=lambda words: " ".join(map(str, words)) if isinstance(words, tuple) else "",
)
def test_what_cannot_be_attacked_through_is_refused(assert_error, images, tmp_path, words, message):
    output = tmp_path / "adv"
    assert_error(message, "attack", images, "-m", MODEL, "-a", "bim", "-o", output, *words)
    assert not output.exists()
