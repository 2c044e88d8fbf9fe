"""``rsparse attack``: how it resumes, what it overwrites, and what it refuses."""

from __future__ import annotations

import json
import pickle
import signal
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from rsparse.models.onnx.classifier import load_classifier
from rsparse.store.folders import JOURNAL, MANIFEST, OutputFolder, read_manifest
from rsparse.store.lines import to_checked_line
from rsparse.store.pending import hidden_beside
from tests.colours import MARGINS, MODEL, colours, picture, save
from tests.conftest import tree_of
from tests.onnx_models import save_graph
from tests.processes import start, when_done
from tests.refusals import KNOWN_ATTACKS

__all__ = ["colours"]  # the fixture

SLOW = "LinfPGD:eps=8,steps=60"
MARKS = ("--batch-size", 1, "--jobs", 1)


@pytest.fixture
def twelve(tmp_path: Path) -> Path:
    """A folder of twelve pictures."""
    for number in range(12):
        save(tmp_path / f"imgs/{number:02d}.png", picture(number % 3, 5 + number))
    return tmp_path / "imgs"


@pytest.mark.parametrize(
    ("attacks", "running_in", "resumed"),
    [((SLOW, "--keep-float"), "", 4), (("cw-l2:d=0.1,steps=9", "-a", SLOW), "LinfPGD", 16)],
    ids=["one", "the second of two"],
)
def test_a_killed_run_goes_on_to_the_same_bytes(
    run_cli, twelve, tmp_path, attacks, running_in, resumed
):
    """The first image after the resume gets the same random numbers as in a whole run."""
    out = tmp_path / "out"
    place = out / (f"{running_in}-eps=8-steps=60" if running_in else "")
    arguments = ("attack", twelve, "-m", MODEL, "-a", *attacks, *MARKS, "--predicted-labels")
    with start(*arguments, "-o", out) as running:
        when_done(running, place, 4, signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    assert not (place / MANIFEST).exists()
    result = run_cli(*arguments, "-o", out, "--json")
    assert result.exit_code == 0, result.stderr
    outcome = json.loads(result.stdout)
    total = 24 if running_in else 12
    assert total > outcome["resumed"] >= resumed
    assert outcome["done"] == total - outcome["resumed"]
    assert f"12 ({outcome['resumed']} results from an earlier run)" in result.stderr
    run_cli(*arguments, "-o", tmp_path / "whole")
    assert tree_of(out) == tree_of(tmp_path / "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"imgs", "out", "whole"}


def test_only_what_is_missing_changed_or_damaged_is_done_again(run_cli, twelve, tmp_path):
    """The journal is restored to the state in which an interrupted run leaves it."""
    out, names = tmp_path / "out", ("00", "01", "02", "03", "04")
    arguments = ("attack", twelve, "-m", MODEL, "-a", "bim:eps=4", *MARKS,
                 "--predicted-labels", "--json", "-o")  # fmt: skip
    opened, kept = OutputFolder.open.__func__, []

    def opening(cls, path, run, *rest):
        kept.append(run)
        return opened(cls, path, run, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OutputFolder, "open", classmethod(opening))
        run_cli(*arguments, out)
    entries = [e for e in read_manifest(out)["images"] if e["name"] in names]
    (out / MANIFEST).unlink()
    (out / JOURNAL).write_bytes(b"".join(map(to_checked_line, (kept[0], *entries))))
    (out / "01.png").unlink()
    (out / "02.png").write_bytes((out / "02.png").read_bytes()[:-9])
    save(twelve / "03.png", picture(2, 40))
    result = run_cli(*arguments, out)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["resumed"] == 2
    run_cli(*arguments, tmp_path / "whole")
    assert tree_of(out) == tree_of(tmp_path / "whole")


@pytest.mark.slow
def test_any_number_of_jobs_gives_the_same_bytes(run_cli, colours, tmp_path):
    tail = ("-m", MODEL, "-a", "LinfPGD:eps=4,steps=5", "-a", "cw-l2:d=0.1", "--batch-size", 1)
    for jobs in (1, 2):
        run_cli(
            "attack", colours, *tail, "--keep-float", "-o", tmp_path / f"{jobs}", "--jobs", jobs
        )
    assert tree_of(tmp_path / "1") == tree_of(tmp_path / "2")


def test_an_attacker_is_pickled_by_its_models_path():
    from rsparse.commands.attack.attacker import Attacker

    attacker = Attacker(load_classifier(MODEL), "cpu", True, 5).check()
    content = pickle.dumps(attacker)
    again = pickle.loads(content)
    assert len(content) < 2000
    assert (again.keep_size, again.seed, again.device) == (True, 5, "cpu")
    assert again is pickle.loads(content)
    x = picture(2, 5)
    np.testing.assert_array_equal(again.classifier.logits([x]), attacker.classifier.logits([x]))


def test_overwriting_gives_what_a_fresh_run_gives(run_cli, colours, tmp_path, assert_error):
    out, arguments = tmp_path / "out", ("attack", colours, "-m", MODEL, "-a", "fgsm:eps=4")
    run_cli(*arguments, "--keep-float", "-o", out)
    before = tree_of(out)
    line = f"{out}: exists; choose another output or pass --overwrite"
    assert_error(line, *arguments, "--keep-float", "-o", out)
    line = f"{out}: is a finished artifact; choose another output for several attacks"
    assert_error(line, *arguments, "-a", "bim", "-o", out)
    assert tree_of(out) == before
    (colours / "red/far.png").unlink()
    assert run_cli(*arguments, "-o", out, "--overwrite").exit_code == 0
    run_cli(*arguments, "-o", tmp_path / "fresh")
    assert tree_of(out) == tree_of(tmp_path / "fresh")


def test_a_finished_attack_leaves_no_results_beside_it(run_cli, colours, tmp_path, assert_error):
    """The disk failed when the run removed its journal, after all else was written."""
    out = tmp_path / "out"
    arguments = ("attack", colours, "-m", MODEL, "-a", "fgsm:eps=4", "--keep-float", "-o", out)
    run_cli(*arguments)
    (out / JOURNAL).write_bytes(to_checked_line({"stage": "attack"}))
    kept = hidden_beside(out, f"{'0' * 12}.tmp")
    kept.mkdir()
    (kept / "000000.npz").write_bytes(b"results")
    assert_error(f"{out}: exists; choose another output or pass --overwrite", *arguments)
    assert not kept.exists()
    assert not (out / JOURNAL).exists()


def test_finished_attacks_of_a_list_are_taken_over(run_cli, colours, tmp_path, assert_error):
    out, arguments = tmp_path / "out", ("attack", colours, "-m", MODEL, "-o", tmp_path / "out")
    run_cli(*arguments, "-a", "fgsm:eps=2,4")
    line = f"{out / 'fgsm-eps=2'}: exists; choose another output or pass --overwrite"
    assert_error(line, *arguments, "-a", "fgsm:eps=2,4")
    assert_error(line, *arguments, "-a", "fgsm:eps=2,8", "--seed", 1)
    assert {path.name for path in out.iterdir()} == {"fgsm-eps=2", "fgsm-eps=4"}
    outcome = json.loads(run_cli(*arguments, "-a", "fgsm:eps=2,4,8", "--json").stdout)
    assert (outcome["done"], outcome["resumed"]) == (4, 8)
    assert [row["max_linf"] for row in outcome["attacks"]] == [2, 4, 8]


def test_one_bad_image_is_told_and_the_rest_is_done(run_cli, colours, tmp_path):
    (colours / "red/empty.png").write_bytes(b"")
    (colours / "red/text.png").write_bytes(b"text")
    out = tmp_path / "out"
    result = run_cli("attack", colours, "-m", MODEL, "-a", "fgsm:eps=2,8", "-o", out)
    assert (result.exit_code, result.stdout) == (1, f"{out}\n")
    assert result.stderr.splitlines()[-2:] == [
        f"rsparse: skipped: {colours}/red/empty.png: is an empty file",
        f"rsparse: skipped: {colours}/red/text.png: is not a PNG, JPEG, WebP, TIFF or BMP image",
    ]
    for name in ("fgsm-eps=2", "fgsm-eps=8"):
        manifest = read_manifest(out / name)
        assert [entry["name"] for entry in manifest["images"]] == sorted(MARGINS)
        assert [entry["name"] for entry in manifest["failed"]] == ["red/empty", "red/text"]
        assert manifest["failed"][0]["error"] == "is an empty file"


@pytest.mark.parametrize("attack", ["fgsm:eps=2", "fgsm:eps=2,8", "cw-l2:d=0.1"])
def test_all_images_bad_leave_nothing(assert_error, tmp_path, attack):
    (tmp_path / "imgs" / "red").mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / f"imgs/red/{name}.png").write_bytes(b"")
    line = f"{tmp_path}/imgs/red/a.png: is an empty file (and 1 more failed)"
    out = tmp_path / "out"
    assert_error(line, "attack", tmp_path / "imgs", "-m", MODEL, "-a", attack, "-o", out)
    assert {path.name for path in tmp_path.iterdir()} == {"imgs"}


@pytest.mark.parametrize(
    ("attack", "line"),
    [
        ("fgms:eps=8", f"unknown attack 'fgms'; did you mean fgsm? {KNOWN_ATTACKS}"),
        ("LinfPDG", f"unknown attack 'LinfPDG'; did you mean LinfPGD? {KNOWN_ATTACKS}"),
        ("zzz", f"unknown attack 'zzz'; k{KNOWN_ATTACKS[1:]}"),
        ("bim:esp=8", "attack 'bim:esp=8': unknown parameter 'esp'; did you mean eps? "
                      "Known: eps, steps, step_size, target"),
        ("fgsm:eps=256",
         "attack 'fgsm:eps=256': eps: expected a number from 0 to 255, got 256.0"),
        ("LinfPGD:eps=-1", "attack 'LinfPGD:eps=-1': eps: expected a number from 0 to 255, "
                           "got -1.0"),
        ("bim:eps=8,8", "attack 'bim:eps=8,8': gives the same attack twice"),
    ],
)  # fmt: skip
def test_mistakes_in_an_attack(assert_error, colours, tmp_path, attack, line):
    assert_error(line, "attack", colours, "-m", MODEL, "-a", attack, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("red/near.png,0\n", ""), "{csv}: has no label for 'red/near'"),
        (("red/near.png,0\n", "red/near.png,0\nred/near.jpg,1\n"),
         "{csv}: line 6: lists 'red/near' twice"),
        (("near.png,0", "near.png,3"),
         "labels.csv: label of 'red/near': expected a class from 0 to 2, got 3"),
        (("near.png,0", "near.png,violet"),
         "{csv}: line 5: expected a class index or a class name, got 'violet'"),
    ],
    ids=["missing", "twice", "out of range", "no class"],
)  # fmt: skip
def test_mistakes_in_the_labels(assert_error, colours, tmp_path, change, line):
    csv = tmp_path / "labels.csv"
    text = "file,label\nblue/mid.png,2\ngreen/near.png,green\nred/far.png,0\nred/near.png,0\n"
    csv.write_text(text.replace(*change))
    assert_error(
        line.format(csv=csv), "attack", colours, "-m", MODEL, "-a", "bim", "--labels", csv,
        "-o", tmp_path / "out",
    )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_no_image_is_right(assert_error, tmp_path):
    save(tmp_path / "imgs/red/wrong.png", picture(1, 9))
    line = (
        "none of the 1 images is classified correctly, so none is left to attack; "
        "check the labels and the model's input, or pass --all-images"
    )
    arguments = ("attack", tmp_path / "imgs", "-m", MODEL, "-o", tmp_path / "out")
    assert_error(line, *arguments, "-a", "fgsm:eps=2,8")
    assert {path.name for path in tmp_path.iterdir()} == {"imgs"}


def test_an_operator_without_a_counterpart_in_torch(assert_error, colours, tmp_path):
    path, weights = tmp_path / "m.onnx", np.ones((768, 3), np.float32)
    names = tmp_path / "names.txt"
    names.write_text("red\ngreen\nblue\n")
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Hardmax", ["flat"], ["hard"]),
        helper.make_node("Gemm", ["hard", "w"], ["scores"]),
    ]
    save_graph(path, nodes, {"w": weights}, ("n", 3, 16, 16), ("n", 3))
    arguments = ("attack", colours, "-m", path, "--preset", "unit", "-a", "bim",
                 "--class-names", names)  # fmt: skip
    line = (
        f"{path}: cannot be converted to torch, which attacks by gradients, training and GPUs "
        "need: the operator Hardmax (of ai.onnx 17) cannot be computed in torch"
    )
    from rsparse.attacks.attackable import WHAT_WORKS

    assert_error(f"{line}; {WHAT_WORKS}", *arguments, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_outputs_that_would_mix_with_the_input(assert_error, colours):
    arguments = ("attack", colours, "-m", MODEL, "-a", "bim:eps=8", "-o")
    inside, parent = colours / "adv", colours.parent
    assert_error(f"{colours}: is the input itself; choose another output", *arguments, colours)
    assert_error(
        f"{parent}: contains the input {colours}; choose another output", *arguments, parent
    )
    line = f"is inside the input {colours}; choose another output"
    assert_error(f"{inside}: {line}", *arguments, inside)
    assert_error(f"{inside / 'bim-eps=8'}: {line}", *arguments, inside, "-a", "fgsm")
    assert not inside.exists()
