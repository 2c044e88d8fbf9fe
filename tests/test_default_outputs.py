"""Where outputs are written by default."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsparse.evaluation.model_choice import ModelChoice
from rsparse.evaluation.places import attacks_folder, file_name
from rsparse.store.default_outputs import output_beside
from tests.refusals import refused


@pytest.fixture
def imgs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "work/imgs/sub").mkdir(parents=True)
    (tmp_path / "work/imgs/a.b.png").write_bytes(b"x")
    (tmp_path / "work/link").symlink_to("imgs/sub")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work/imgs"


@pytest.mark.parametrize(
    ("start", "given", "output"),
    [
        ("", "imgs", "imgs-purified"),
        ("", "imgs/", "imgs-purified"),
        ("", "./imgs", "imgs-purified"),
        ("", "../work/imgs/sub", "imgs/sub-purified"),
        ("", "imgs/a.b.png", "imgs/a.b-purified"),
        ("", "link", "imgs/sub-purified"),
        ("imgs", ".", "imgs-purified"),
        ("imgs/sub", "..", "imgs-purified"),
        ("imgs/sub", "../.", "imgs-purified"),
        ("imgs/sub", "../sub/..", "imgs-purified"),
    ],
)
def test_they_lie_beside_the_folder_itself(imgs, monkeypatch, start, given, output):
    work = imgs.parent
    monkeypatch.chdir(work / start)
    assert output_beside([Path(given)], "purified").resolve() == work / output
    absolute = output_beside([Path.cwd() / given], "purified")
    assert absolute.is_absolute()
    assert absolute.resolve() == work / output


def test_what_has_no_place_beside_it(imgs):
    with refused("/: has no folder beside it; name the output with -o"):
        output_beside([Path("/")], "purified")
    with refused("several inputs have no default output; name the output with -o"):
        output_beside([imgs, imgs], "purified")


@pytest.mark.parametrize(
    ("file", "name"),
    [("m.onnx", "m"), ("...onnx", "...onnx"), ("..onnx", "..onnx"), (".onnx", ".onnx"),
     ("a.b.onnx", "a.b"), ("..a.onnx", "..a")],
)  # fmt: skip
def test_the_name_of_a_model_is_that_of_a_folder(file, name):
    choice = ModelChoice(Path("models") / file)
    assert choice.name == name
    assert attacks_folder(choice.name).resolve().parent.name == "attacks"


@pytest.mark.parametrize("text", ["x" * 200, "x" * 201, "図" * 100, "aé" * 150])
def test_long_names_of_files_fit(text):
    assert len(file_name(text).encode()) <= 200
    assert (file_name(text) == text) == (len(text.encode()) <= 200)
