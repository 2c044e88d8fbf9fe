"""``rsparse purify``: what it prints, what it writes, and how it resumes."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from rsparse.api import purify
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters
from rsparse.store.folders import JOURNAL, MANIFEST, read_manifest
from rsparse.store.images import decode_image, encode_png
from rsparse.store.records import IMAGES
from tests.conftest import make_dict_file, make_picture, tree_of
from tests.processes import SLOW, finished, start, when_done


def read(path: Path) -> np.ndarray:
    return decode_image(path.read_bytes(), path)


def test_the_library_gives_the_same_images(run_cli, pictures, dict_file, small_dictionary):
    result = run_cli("purify", pictures, "--dict", dict_file)
    output = pictures.with_name("imgs-purified")
    assert result.exit_code == 0
    assert result.stdout == f"{output}\n"
    assert sorted(tree_of(output)) == ["a.png", "b.png", MANIFEST, "sub/c.png"]
    for name in ("a", "b", "sub/c"):
        image = read(pictures / f"{name}.png")
        np.testing.assert_array_equal(
            read(output / f"{name}.png"), purify(image, small_dictionary)
        )  # fmt: skip


def test_the_summary_goes_to_stderr_and_no_bar_is_drawn_in_a_pipe(run_cli, pictures, dict_file):
    result = run_cli("purify", pictures, "--dict", dict_file)
    lines = [line.split() for line in result.stderr.splitlines()]
    assert lines[:3] == [["purified"], ["images", "3"], ["defense", "policy-default"]]
    assert lines[3][0] == "done"
    assert [line[0] for line in lines[-3:]] == ["least", "most", "time"]
    assert "\x1b" not in result.stderr


TOLD_BY_EVERY_STAGE = ["output", "done", "resumed", "failed", "passed_over", "notes"]


def test_json(run_cli, pictures, dict_file, tmp_path):
    result = run_cli("purify", pictures, "--dict", dict_file, "-o", tmp_path / "out", "--json")
    told = json.loads(result.stdout)
    assert list(told) == ["schema", *TOLD_BY_EVERY_STAGE, "treatments", "images"]
    assert {key: told[key] for key in TOLD_BY_EVERY_STAGE} == {
        "output": str(tmp_path / "out"), "done": 3, "resumed": 0, "failed": [],
        "passed_over": {"count": 0, "files": []}, "notes": [],
    }  # fmt: skip


def test_the_manifest_tells_the_ancestry(run_cli, pictures, dict_file, tmp_path):
    run_cli("purify", pictures, "--dict", dict_file, "-o", tmp_path / "out", "--sparsity", 3)
    manifest = read_manifest(tmp_path / "out")
    assert manifest["stage"] == "purify"
    assert manifest["parameters"] == {
        **PurifyParameters(sparsity=3).as_record(),
        "localization": LocalizeParameters().as_record(),
    }
    assert [source["name"] for source in manifest["inputs"]] == ["imgs", "dict.h5"]
    assert manifest["inputs"][1]["record"]["stage"] == "learn-dict"
    assert str(tmp_path) not in (tmp_path / "out" / MANIFEST).read_text()


def test_equal_runs_give_equal_bytes_for_any_jobs(run_cli, many, dict_file, tmp_path, monkeypatch):
    run_cli("purify", many, "--dict", dict_file, "-o", tmp_path / "one", "--jobs", 1)
    monkeypatch.chdir(many.parent)
    for jobs in (1, 2):
        out = tmp_path / f"again-{jobs}"
        result = run_cli("purify", "imgs", "--dict", dict_file, "-o", out, "--jobs", jobs)
        assert result.exit_code == 0, result.stderr
        assert tree_of(out) == tree_of(tmp_path / "one")


@pytest.fixture(scope="module")
def whole(many, small_dictionary, run_cli, tmp_path_factory) -> dict[str, bytes]:
    """What a slow run that nothing interrupts writes."""
    folder = tmp_path_factory.mktemp("whole")
    path = make_dict_file(folder, small_dictionary)
    done = run_cli("purify", many, "--dict", path, *SLOW, "--jobs", 1, "-o", folder / "out")
    assert done.exit_code == 0, done.stderr
    return tree_of(folder / "out")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_run_goes_on_to_the_same_bytes(
    run_cli, assert_error, many, whole, dict_file, tmp_path, jobs
):
    arguments = ("purify", many, "--dict", dict_file, *SLOW, "--jobs", jobs)
    with start(*arguments, "-o", tmp_path / "out") as running:
        when_done(running, tmp_path / "out", 8, signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    assert not (tmp_path / "out" / MANIFEST).exists()
    assert_error(
        f"{tmp_path / 'out'}: is unfinished because its run was interrupted; run the same "
        "command again to finish it",
        "purify", tmp_path / "out", "--dict", dict_file,
    )  # fmt: skip
    result = run_cli(*arguments, "-o", tmp_path / "out", "--json")
    outcome = json.loads(result.stdout)
    assert result.exit_code == 0
    assert outcome["resumed"] >= 8
    assert outcome["done"] == 30 - outcome["resumed"] > 0
    assert f"30 ({outcome['resumed']} from an earlier run)" in result.stderr
    assert sum(outcome["treatments"]["counts"].values()) == 30
    assert tree_of(tmp_path / "out") == whole


def test_only_what_is_missing_or_changed_is_done_again(run_cli, pictures, dict_file, tmp_path):
    out = tmp_path / "out"
    arguments = ("purify", pictures, "--dict", dict_file, "-o", out, "--json")
    bad = (pictures / "sub/c.png").read_bytes()
    (pictures / "sub/c.png").write_bytes(b"")
    assert run_cli(*arguments).exit_code == 1
    whole = read_manifest(out)
    from rsparse.store.inputs import load_inputs
    from rsparse.store.job import Job
    from rsparse.store.lines import to_checked_line

    known = {
        "dictionaries": {"": whole["inputs"][1]["sha256"]},
        "images": load_inputs([pictures]).names_digest(),
        "masks": None,
    }
    job = Job("purify", IMAGES, whole["parameters"], None, known)
    lines = [job.identity(), *whole["images"]]

    def interrupted() -> None:
        (out / MANIFEST).unlink(missing_ok=True)
        (out / JOURNAL).write_bytes(b"".join(map(to_checked_line, lines)))

    (pictures / "sub/c.png").write_bytes(bad)
    interrupted()
    outcome = json.loads(run_cli(*arguments).stdout)
    assert (outcome["resumed"], outcome["done"]) == (2, 1)
    interrupted()
    (pictures / "a.png").write_bytes(encode_png(make_picture(77)))
    (out / "b.png").write_bytes((out / "b.png").read_bytes()[:-9])
    outcome = json.loads(run_cli(*arguments).stdout)
    assert (outcome["resumed"], outcome["done"]) == (0, 3)
    fresh = tmp_path / "fresh"
    run_cli("purify", pictures, "--dict", dict_file, "-o", fresh)
    assert tree_of(fresh) == tree_of(out)


def test_masks_take_the_place_of_localization(
    run_cli, pictures, dict_file, small_dictionary, tmp_path
):
    masks = tmp_path / "masks"
    assert run_cli("localize", pictures, "-o", masks, "--threshold", 20).exit_code == 0
    half = np.zeros((48, 56), dtype=np.uint8)
    half[:, :28] = 255
    (masks / "a.png").write_bytes(encode_png(half))
    out = tmp_path / "out"
    run_cli("purify", pictures, "--dict", dict_file, "--sparsity", 2, "--masks", masks, "-o", out)
    image = read(pictures / "a.png")
    expected = purify(image, small_dictionary, PurifyParameters(), mask=half > 127)
    np.testing.assert_array_equal(read(out / "a.png"), expected)
    manifest = read_manifest(out)
    assert "localization" not in manifest["parameters"]
    assert [source["name"] for source in manifest["inputs"]] == ["imgs", "dict.h5", "masks"]
    assert manifest["inputs"][2]["record"]["parameters"]["threshold"] == 20


def test_one_bad_image_is_told_and_the_rest_is_done(run_cli, pictures, dict_file, tmp_path):
    (pictures / "[red]\n.png").write_bytes(b"")
    (pictures / "tiny.png").write_bytes(encode_png(make_picture(0, 3, 9)))
    out = tmp_path / "out"
    result = run_cli("purify", pictures, "--dict", dict_file, "-o", out)
    assert result.exit_code == 1
    assert result.stdout == f"{out}\n"
    assert result.stderr.splitlines()[-2:] == [
        rf"rsparse: skipped: {pictures}/[red]\n.png: is an empty file",
        f"rsparse: skipped: {pictures}/tiny.png: is 9×3 pixels, smaller than a patch of 4×4",
    ]
    assert read_manifest(out)["failed"] == [
        {"name": "[red]\n", "error": "is an empty file"},
        {"name": "tiny", "error": "is 9×3 pixels, smaller than a patch of 4×4"},
    ]
    assert sorted(tree_of(out)) == ["a.png", "b.png", MANIFEST, "sub/c.png"]


def test_overwriting_gives_what_a_fresh_run_gives(run_cli, pictures, dict_file, tmp_path):
    out = tmp_path / "out"
    run_cli("purify", pictures, "--dict", dict_file, "-o", out, "--sparsity", 1)
    (pictures / "b.png").unlink()
    result = run_cli("purify", pictures, "--dict", dict_file, "-o", out, "--overwrite")
    assert result.exit_code == 0
    run_cli("purify", pictures, "--dict", dict_file, "-o", tmp_path / "fresh")
    assert tree_of(out) == tree_of(tmp_path / "fresh")


@pytest.mark.parametrize(
    ("given", "output"),
    [("imgs", "imgs-purified"), ("imgs/", "imgs-purified"), ("imgs/a.png", "imgs/a-purified"),
     ("./imgs", "imgs-purified"), ("../work/imgs/sub", "../work/imgs/sub-purified")],
)  # fmt: skip
def test_the_default_output_lies_beside_the_input(
    run_cli, pictures, dict_file, monkeypatch, given, output
):
    work = pictures.parent / "work"
    work.mkdir()
    pictures.rename(work / "imgs")
    monkeypatch.chdir(work)
    result = run_cli("purify", given, "--dict", dict_file)
    assert result.exit_code == 0
    assert result.stdout == f"{output}\n"
    assert (work / output / MANIFEST).is_file()


def test_a_reader_that_has_gone_is_no_traceback(pictures, dict_file, tmp_path):
    read_end, write_end = os.pipe()
    os.close(read_end)
    arguments = ("purify", pictures, "--dict", dict_file, "-o", tmp_path / "out")
    code, _, stderr = finished(*arguments, stdout=write_end)
    os.close(write_end)
    assert code == 1
    assert "Traceback" not in stderr
    assert "Exception" not in stderr
    assert (tmp_path / "out" / MANIFEST).is_file()
