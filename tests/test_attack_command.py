"""``rsparse attack``: output, measurements and messages, on a classifier with known answers."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from rsparse.models.onnx.classifier import load_classifier
from rsparse.store.files import sha256_of_file
from rsparse.store.folders import MANIFEST, read_manifest
from rsparse.work.device import Device
from tests.colours import (
    CLASSES,
    MARGINS,
    MODEL,
    answer,
    colours,
    entries_of,
    picture,
    read,
    save,
    true_labels,
)
from tests.conftest import REPOSITORY, tree_of

pytest.importorskip("torch")

__all__ = ["colours"]  # the fixture


def check_entries(benign: Path, folder: Path, labels: dict[str, int]) -> None:
    """Compare a manifest written with --keep-float with the files and the network."""
    with h5py.File(folder / "float.h5") as floats:
        for name, entry in entries_of(folder).items():
            x, pixels = read(benign / f"{name}.png"), read(folder / entry["file"])
            x_adv = floats[f"{name}.png"][()]
            assert (x_adv.dtype, x_adv.shape) == (np.float32, x.shape)
            np.testing.assert_array_equal(pixels, np.rint(x_adv.clip(0, 1) * np.float32(255)))
            change = (pixels.astype(float) - x) / 255
            before, found, rounded = answer(x / 255), answer(x_adv), answer(pixels / 255)
            l2 = np.linalg.norm(change)
            assert entry == {
                "name": name, "file": f"{name}.png", "float_file": "float.h5",
                "sha256": sha256_of_file(folder / f"{name}.png"),
                "source_sha256": sha256_of_file(benign / f"{name}.png"),
                "label": labels[name], "prediction_before": before, "prediction_float": found,
                "prediction": rounded, "success_float": found != labels[name],
                "success": rounded != labels[name], "nothing_found": entry["nothing_found"],
                "linf": round(abs(change).max() * 255), "l2": pytest.approx(l2, abs=2e-6),
                "d": pytest.approx(l2 / np.linalg.norm(x / 255), abs=2e-6), "tau": entry["tau"],
            }  # fmt: skip


def test_fgsm_in_closed_form(run_cli, colours, tmp_path):
    """The true colour falls by eps, the others rise by eps; margins below 2·eps are lost."""
    out = tmp_path / "adv"
    result = run_cli("attack", colours, "-m", MODEL, "-a", "fgsm:eps=8", "-o", out, "--keep-float")
    assert (result.exit_code, result.stdout) == (0, f"{out}\n")
    files = [f"{name}.png" for name in MARGINS]
    assert list(tree_of(out)) == sorted([*files, "float.h5", MANIFEST])
    check_entries(colours, out, true_labels())
    for name, label in true_labels().items():
        change = np.where(np.arange(3) == label, -8, 8)
        expected = read(colours / f"{name}.png") + change
        np.testing.assert_array_equal(read(out / f"{name}.png"), expected)
        assert entries_of(out)[name]["success"] == (MARGINS[name] < 16)
    lines = [line.split() for line in result.stderr.splitlines()]
    assert lines[:3] == [["attacked"], ["images", "4"], ["labels", "class", "subfolders"]]
    row = next(line for line in lines if line[:1] == ["fgsm-eps=8"])
    assert row[1:9] == ["100", "→", "50", "→", "50", "50", "→", "50"]
    assert row[-2:] == ["8", "0"]


@pytest.mark.parametrize(
    "attack",
    ["bim:eps=4", "mi-fgsm:eps=4", "LinfPGD:eps=4,steps=80", "mi-fgsm-l2:d=0.02", "L2PGD:d=0.02",
     "cw-l2:steps=50", "LinfDeepFoolAttack:eps=4"],
)  # fmt: skip
def test_limits_are_kept_and_results_measured(run_cli, colours, tmp_path, attack):
    save(colours / "red/white.png", np.full((16, 16, 3), (255, 249, 0), np.uint8))
    out = tmp_path / "adv"
    run_cli("attack", colours, "-m", MODEL, "-a", attack, "-o", out, "--keep-float")
    check_entries(colours, out, {**true_labels(), "red/white": 0})
    entries = entries_of(out).values()
    assert sum(entry["success_float"] for entry in entries) >= 1
    if "eps=4" in attack:
        assert max(entry["linf"] for entry in entries) == 4
    if "d=0.02" in attack:
        with h5py.File(out / "float.h5") as floats:
            for entry in entries:
                x = read(colours / entry["file"]) / 255
                change = np.linalg.norm(floats[entry["file"]][()] - x)
                assert change <= 0.02001 * np.linalg.norm(x)


def test_momentum_reaches_an_average_change_by_equal_steps(run_cli, colours, tmp_path):
    """The toy's gradient has one sign everywhere, so all move by one eps, times one τ."""
    out = tmp_path / "adv"
    arguments = ("-m", MODEL, "-a", "mi-fgsm:d=0.05", "-o", out, "--keep-float", "--json")
    scaling = json.loads(run_cli("attack", colours, *arguments).stdout)["attacks"][0]["scaling"]
    dissimilarities, moved = [], []
    with h5py.File(out / "float.h5") as floats:
        for name in true_labels():
            x = read(colours / f"{name}.png") / 255
            change = floats[f"{name}.png"][()] - x
            dissimilarities.append(np.linalg.norm(change) / np.linalg.norm(x))
            moved.append(np.abs(change))
    assert np.mean(dissimilarities) == pytest.approx(0.05, rel=1e-3)
    assert np.ptp(dissimilarities) > 1e-4  # not a radius for each image
    np.testing.assert_allclose(np.concatenate(moved), scaling["tau"] * 0.025, atol=1e-5)


def test_rounding_can_undo_an_attack(run_cli, tmp_path):
    save(tmp_path / "imgs/red/a.png", picture(0, 0.5))
    out = tmp_path / "adv"
    arguments = ("attack", tmp_path / "imgs", "-m", MODEL, "--keep-float")
    arguments += ("-a", "bim:eps=1,step_size=0.4,steps=1")
    summary = json.loads(run_cli(*arguments, "-o", out, "--json").stdout)["attacks"][0]
    check_entries(tmp_path / "imgs", out, {"red/a": 0})
    entry = entries_of(out)["red/a"]
    assert (entry["success_float"], entry["success"], entry["linf"]) == (True, False, 0)
    np.testing.assert_array_equal(read(out / "red/a.png"), picture(0, 0.5))
    assert (summary["success_float"], summary["success"], summary["changed"]) == (1, 0, 0)


def test_a_search_that_finds_nothing_leaves_the_image(run_cli, colours, tmp_path):
    out, attack = tmp_path / "adv", "cw-l2:initial_const=1e-6,retries=0,steps=4"
    result = run_cli("attack", colours, "-m", MODEL, "-a", attack, "-o", out, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["attacks"][0]["nothing_found"] == 4
    for name, entry in entries_of(out).items():
        assert (entry["nothing_found"], entry["success"]) == (True, False)
        np.testing.assert_array_equal(read(out / f"{name}.png"), read(colours / f"{name}.png"))


def test_multiples_of_one_search_are_found_once(run_cli, colours, tmp_path, monkeypatch):
    """Each image's change is multiplied by itself, not to an average of the folder."""
    from rsparse.attacks import running

    searched = []
    perturb = running._perturb
    monkeypatch.setattr(
        running, "_perturb", lambda attack, *rest: searched.append(attack) or perturb(attack, *rest)
    )
    out = tmp_path / "adv"
    arguments = ("attack", colours, "-m", MODEL, "-a", "deepfool:scale=1,2.5", "--keep-float")
    run_cli(*arguments, "-o", out, "--jobs", 1)
    assert {attack.scale for attack in searched} == {1.0}
    changes = {}
    for scale in ("1", "2.5"):
        folder = out / f"deepfool-scale={scale}"
        check_entries(colours, folder, true_labels())
        assert {entry["tau"] for entry in entries_of(folder).values()} == {float(scale)}
        with h5py.File(folder / "float.h5") as floats:
            changes[scale] = {
                name: floats[f"{name}.png"][()] - read(colours / f"{name}.png") / np.float32(255)
                for name in MARGINS
            }
    for name, change in changes["1"].items():
        assert np.abs(change).max() > 0
        np.testing.assert_allclose(changes["2.5"][name], 2.5 * change, atol=1e-6)
    alone = tmp_path / "alone"
    run_cli(*arguments[:4], "-a", "deepfool:scale=2.5", "-o", alone, "--jobs", 1)
    for name in MARGINS:
        both = (out / "deepfool-scale=2.5" / f"{name}.png").read_bytes()
        assert (alone / f"{name}.png").read_bytes() == both


def test_carlini_wagner_reaches_the_average_dissimilarity(run_cli, colours, tmp_path):
    """The average is over correctly classified images; one τ serves all and is recorded."""
    save(colours / "red/wrong.png", picture(2, 20))
    out = tmp_path / "adv"
    arguments = ("attack", colours, "-m", MODEL, "-a", "cw-l2:d=0.2", "-o", out)
    result = run_cli(*arguments, "--keep-float", "--json")
    check_entries(colours, out, {**true_labels(), "red/wrong": 0})
    with h5py.File(out / "float.h5") as floats:
        reached = []
        for name in MARGINS:
            x = read(colours / f"{name}.png") / 255
            reached.append(np.linalg.norm(floats[f"{name}.png"][()] - x) / np.linalg.norm(x))
    assert np.mean(reached) == pytest.approx(0.2, rel=1e-3)
    scaling = read_manifest(out)["parameters"]["scaling"]
    assert scaling == json.loads(result.stdout)["attacks"][0]["scaling"]
    assert scaling["d"] == pytest.approx(0.2, rel=1e-3)
    assert {entry["tau"] for entry in entries_of(out).values()} == {scaling["tau"]}
    assert scaling["tau"] > 1 > scaling["d_raw"] > 0
    assert f"found at d = {scaling['d_raw']:.4f}" in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"imgs", "adv"}


def test_several_attacks_fill_a_subfolder_each_and_json_counts_them(run_cli, colours, tmp_path):
    out, attacks = tmp_path / "adv", ("-a", "fgsm:eps=2,8", "-a", "bim")
    result = run_cli("attack", colours, "-m", MODEL, *attacks, "-o", out, "--json")
    names = ["fgsm-eps=2", "fgsm-eps=8", "bim-eps=8"]
    assert {path.name for path in out.iterdir()} == set(names)
    for name in names:
        assert read_manifest(out / name)["parameters"]["attack"]["name"] == name.split("-")[0]
    outcome = json.loads(result.stdout)
    rows = outcome.pop("attacks")
    assert outcome == {
        "output": str(out), "done": 12, "resumed": 0, "failed": [],
        "labels": "class subfolders", "left_out": 0, "hints": [],
        "passed_over": {"count": 0, "files": []}, "notes": [],
    }  # fmt: skip
    assert [row["attack"] for row in rows] == names
    assert [row["output"] for row in rows] == [str(out / name) for name in names]
    assert [row["success"] for row in rows] == [0, 0.5, 0.5]
    assert [row["max_linf"] for row in rows] == [2, 8, 8]
    assert [row["accuracy_before"] for row in rows] == [1, 1, 1]
    d = [entry["d"] for entry in entries_of(out / "fgsm-eps=8").values()]
    assert (rows[1]["mean_d"], rows[1]["max_d"]) == (pytest.approx(np.mean(d)), max(d))


def test_the_table_has_the_whole_name_of_an_attack(run_cli, colours, tmp_path):
    spec = "bim:eps=8,steps=3,step_size=2.5,target=red"
    result = run_cli("attack", colours, "-m", MODEL, "-a", spec, "-o", tmp_path / "adv", "--json")
    name = json.loads(result.stdout)["attacks"][0]["attack"]
    assert len(name) > 25
    assert " → " not in result.stderr  # JSON alone
    result = run_cli("attack", colours, "-m", MODEL, "-a", spec, "-o", tmp_path / "again")
    assert [line.split()[0] for line in result.stderr.splitlines() if " → " in line][-1] == name


@pytest.mark.parametrize("source", ["labels.csv", "manifest", "class subfolders", "predictions"])
def test_where_labels_come_from(run_cli, colours, tmp_path, source):
    """The source is named on stderr and in the record; the first one available is used."""
    imgs, options, labels, origin = colours, (), true_labels(), source
    if source == "labels.csv":
        rows = [f"{name}.png,{'green' if name == 'red/near' else i}" for name, i in labels.items()]
        (tmp_path / source).write_text("\n".join(["file,label", *rows]) + "\n")
        options, labels["red/near"] = ("--labels", tmp_path / source), 1
    elif source == "manifest":
        imgs = tmp_path / "weak"
        run_cli("attack", colours, "-m", MODEL, "-a", "fgsm:eps=4", "--all-images", "-o", imgs)
    elif source == "predictions":
        imgs = colours.rename(tmp_path / "flat")
        for name in CLASSES:
            (imgs / name).rename(imgs / f"{name}ish")
        labels = {name.replace("/", "ish/"): label for name, label in labels.items()}
        origin = "the model's own predictions"
        result = run_cli("attack", imgs, "-m", MODEL, "-a", "fgsm:eps=2", "-o", tmp_path / "no")
        assert result.exit_code == 2
        assert result.stderr.startswith(f"rsparse: error: {imgs}: its images have no labels (")
        options = ("--predicted-labels",)
    out = tmp_path / "adv"
    arguments = ("attack", imgs, "-m", MODEL, "-a", "fgsm:eps=2", "--all-images")
    result = run_cli(*arguments, "-o", out, *options)
    assert result.exit_code == 0
    assert ["labels", *origin.split()] in [line.split() for line in result.stderr.splitlines()]
    manifest = read_manifest(out)
    assert manifest["parameters"]["labels"] == origin
    assert {name: entry["label"] for name, entry in entries_of(out).items()} == labels
    sources = [source["name"] for source in manifest["inputs"]]
    assert sources == [
        imgs.name,
        "colours.onnx",
        *(["labels.csv"] if source == "labels.csv" else []),
    ]


def test_by_default_what_was_wrong_already_is_left_out(run_cli, colours, tmp_path):
    save(colours / "red/wrong.png", picture(2, 20))
    out, arguments = tmp_path / "adv", ("attack", colours, "-m", MODEL, "-a", "bim:eps=8")
    result = run_cli(*arguments, "-o", out, "--json")
    assert set(entries_of(out)) == set(MARGINS)
    assert json.loads(result.stdout)["left_out"] == 1
    assert "left out, misclassified   1" in result.stderr
    run_cli(*arguments, "--all-images", "-o", tmp_path / "all")
    wrong = entries_of(tmp_path / "all")["red/wrong"]
    assert (wrong["label"], wrong["prediction_before"], wrong["success"]) == (0, 2, True)


@pytest.mark.parametrize("options", [(), ("--keep-size",)], ids=["model-size", "keep-size"])
def test_the_size_at_which_images_are_attacked(run_cli, tmp_path, options):
    original, out = picture(1, 9, (20, 24)), tmp_path / "adv"
    save(tmp_path / "imgs/green/a.png", original)
    save(tmp_path / "imgs/red/b.png", picture(0, 9))
    arguments = ("attack", tmp_path / "imgs", "-m", MODEL, "-a", "fgsm:eps=8")
    assert run_cli(*arguments, "-o", out, *options).exit_code == 0
    benign = original if options else load_classifier(MODEL).fit_to_input(original)
    expected = benign + np.array([8, -8, 8])
    np.testing.assert_array_equal(read(out / "green/a.png"), expected)
    entry = entries_of(out)["green/a"]
    norm = np.linalg.norm(benign / 255)
    assert entry["d"] == pytest.approx(8 / 255 * np.sqrt(benign.size) / norm, abs=2e-6)
    assert (entry["linf"], entry["success"]) == (8, True)


def test_equal_runs_give_equal_bytes(run_cli, colours, tmp_path, monkeypatch):
    """Even from another folder. The batch size is recorded because it affects the result."""
    tail = ("-m", MODEL, "-a", "LinfPGD:eps=4,steps=5", "--keep-float", "--seed", 3)
    run_cli("attack", colours, *tail, "-o", tmp_path / "one", "--jobs", 1)
    monkeypatch.chdir(tmp_path)
    run_cli("attack", "imgs", *tail, "-o", "two")
    assert tree_of(tmp_path / "one") == tree_of(tmp_path / "two")
    assert str(tmp_path) not in (tmp_path / "one" / MANIFEST).read_text()
    run_cli("attack", "imgs", *tail, "-o", "three", "--batch-size", 2)
    recorded = [read_manifest(Path(run))["parameters"]["batch_size"] for run in ("two", "three")]
    assert recorded == [4, 2]
    assert read_manifest(Path("two"))["seed"] == 3


@pytest.mark.parametrize("attack", ["LinfPGD:eps=4,steps=5", "cw-l2:d=0.05,steps=20"])
def test_threads_that_share_a_device_make_the_same_images(
    run_cli, colours, tmp_path, monkeypatch, attack
):
    """The CPU under another name stands in for a GPU."""
    tail = ("-m", MODEL, "-a", attack, "--batch-size", 1)
    run_cli("attack", colours, *tail, "-o", tmp_path / "processes", "--jobs", 1)
    monkeypatch.setattr(
        "rsparse.commands.attack.run.choose_device",
        lambda name, workers, for_gradients: Device(f"{name}:0"),
    )
    run_cli("attack", colours, *tail, "-o", tmp_path / "threads", "--jobs", 4, "--device", "cpu")
    made, expected = entries_of(tmp_path / "threads"), entries_of(tmp_path / "processes")
    assert made == expected


def test_classify_and_purify_take_the_labels_of_the_manifest(run_cli, colours, tmp_path):
    """The subfolders are not class names, so only the manifest knows the labels."""
    adv, purified = tmp_path / "adv", tmp_path / "purified"
    rows = [f"{name.replace('/', 'ish/')},{label}" for name, label in true_labels().items()]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *rows]) + "\n")
    for name in CLASSES:
        (colours / name).rename(colours / f"{name}ish")
    options = ("-m", MODEL, "--labels", tmp_path / "labels.csv", "-a", "fgsm:eps=8", "-o", adv)
    assert run_cli("attack", colours, *options).exit_code == 0
    run_cli("purify", adv, "--dict", REPOSITORY / "fixtures/dict.h5", "-o", purified)
    for folder, lineage in ((adv, ["attack"]), (purified, ["purify", "attack"])):
        found = json.loads(run_cli("classify", folder, "-m", MODEL, "--json").stdout)
        assert found["labels"] == "manifest"
        labels = [entry["label"] for entry in entries_of(folder).values()]
        assert labels == list(true_labels().values())
        record = read_manifest(folder)
        for stage in lineage:
            assert record["stage"] == stage
            record = record["inputs"][0]["record"]
        if folder == adv:
            assert found["accuracy"]["value"] == 0.5
