"""The documents match the program: help texts, formats, links, the pipeline."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import man_pages
import pytest
from typer.testing import Result
from update_docs import command_paths, documented, documents, refreshed

from rsparse import __version__
from rsparse.data import demo_model, demo_photos
from rsparse.store.records import FORMAT_VERSIONS
from tests.conftest import REPOSITORY
from tests.documents import run_shell, take_sample

FIXTURES = REPOSITORY / "fixtures"
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
FORMATS = (REPOSITORY / "docs" / "formats.md").read_text(encoding="utf-8")
MARKDOWN = sorted({*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")})


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_help_texts_are_the_programs(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text == refreshed(text), "run `make docs`"


def test_manual_pages_are_the_programs() -> None:
    files = {path.name: path.read_text(encoding="utf-8") for path in man_pages.FOLDER.iterdir()}
    assert files == man_pages.pages(), "run `make docs`"


def test_every_command_is_documented() -> None:
    shown = documented((REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(command_paths())


def test_help_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert refreshed(README) == README


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        linked = path.parent / file if file else path
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {_anchor(heading) for heading in headings}, target


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_things_go_where_contributing_says() -> None:
    section = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = section.split("## Where things go")[1].split("\n\n")[2]
    named = re.findall(r"`([\w/]+\.py)`", table)
    assert len(named) > 15
    for file in named:
        assert list((REPOSITORY / "rsparse").glob(file.replace("NAME", "*"))), file


def test_changelog_starts_with_this_version() -> None:
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## ([^\s,]+)", changelog, re.MULTILINE)
    assert next(heading for heading in headings if heading != "Unreleased") == __version__


def test_every_format_is_documented() -> None:
    rows = re.findall(r"^\| `(rsparse-\w+)` \|.*\| (\d+) \|$", FORMATS, re.MULTILINE)
    assert {name: int(version) for name, version in rows} == FORMAT_VERSIONS


def documented_datasets(heading: str) -> set[str]:
    """The datasets listed in a section of formats.md."""
    section = re.split(r"^## ", FORMATS.split(f"\n## {heading}", 1)[1], flags=re.MULTILINE)[0]
    return set(re.findall(r"^\| `([\w/<>]+)` \| \(", section, re.MULTILINE))


def datasets(path: Path) -> set[str]:
    """The datasets of a file, without those of the attacked version and of all but one layer."""
    names: list[str] = []
    with h5py.File(path) as file:
        file.visititems(lambda name, item: names.append(name) if hasattr(item, "shape") else None)
    return {
        re.sub(r"^peaks/\d+", "peaks/<k>", name)
        for name in names
        if not name.endswith("/adversarial")
    }


def test_dictionaries_are_as_documented(tmp_path: Path, run_cli: Callable[..., Result]) -> None:
    output = tmp_path / "dict.h5"
    small = ("--patch-size", 4, "--n-atoms", 16, "--patches-per-image", 60)
    learn = ("learn-dict", FIXTURES / "images", "-o", output, *small)
    assert run_cli(*learn).exit_code == 0
    assert datasets(output) == documented_datasets("Dictionaries")


def test_predictions_are_as_documented(tmp_path: Path, run_cli: Callable[..., Result]) -> None:
    output = tmp_path / "pred.h5"
    images, model = FIXTURES / "images", FIXTURES / "colours.onnx"
    assert run_cli("classify", images, "--model", model, "-o", output).exit_code == 0
    assert datasets(output) == documented_datasets("Predictions")


def test_certificates_are_as_documented(tmp_path: Path, run_cli: Callable[..., Result]) -> None:
    images = FIXTURES / "images"
    certify = ("certify", images, "-m", demo_model(), "-o", tmp_path, "--n0", 1, "--n", 10)
    assert run_cli(*certify, "--denoiser", "none").exit_code == 0
    documented = documented_datasets("Certificates")
    assert datasets(tmp_path / "certificates.h5") == documented


def test_activations_are_as_documented(tmp_path: Path, run_cli: Callable[..., Result]) -> None:
    output = tmp_path / "act.h5"
    images, model = FIXTURES / "images", FIXTURES / "colours.onnx"
    assert run_cli("activations", images, images, "--model", model, "-o", output).exit_code == 0
    assert datasets(output) == documented_datasets("Activations")


def test_evaluations_are_as_documented(tmp_path: Path, run_cli: Callable[..., Result]) -> None:
    pytest.importorskip("foolbox")
    images, model = FIXTURES / "images", FIXTURES / "colours.onnx"
    labels = tmp_path / "labels.csv"
    names = [path.name for path in sorted(images.iterdir())]
    labels.write_text("file,label\n" + "".join(f"{name},red\n" for name in names))
    output, reference, level = tmp_path / "eval", tmp_path / "r.h5", ("--false-alarms", 0.5)
    run_cli("detect", images, "--calibrate", "--score", "noise", *level, "-o", reference)
    done = run_cli(
        "evaluate", images, "-m", model, "-a", "noise", "--labels", labels, "--all-images",
        "--max-images", 2, "--no-extra-checks", "--detector", reference, *level, "-o", output,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert datasets(output / "evaluation.h5") == documented_datasets("Evaluations")


def code_after(marker: str) -> str:
    """The code block that follows a comment in the README."""
    match = re.search(rf"<!-- {marker} -->\n+```\w+\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    assert match is not None, marker
    return match[1]


@pytest.mark.slow
def test_the_readmes_pipeline_runs(tmp_path: Path) -> None:
    pytest.importorskip("foolbox")
    take_sample(tmp_path)
    run_shell(code_after("pipeline"), tmp_path)


def test_the_readmes_evaluation_is_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_cli: Callable[..., Result]
) -> None:
    pytest.importorskip("foolbox")
    shutil.copytree(demo_photos("test") / "cat", tmp_path / "photos" / "cat")
    shutil.copy(demo_model(), tmp_path / "classifier.onnx")
    monkeypatch.chdir(tmp_path)
    evaluate = shlex.split(code_after("judge").replace("\\\n", " ").splitlines()[0])
    result = run_cli(*evaluate[1:], "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "judged\n"
    assert "gray-box, adaptive" in result.stderr


@pytest.mark.slow
def test_the_readmes_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("foolbox")
    exec(compile(code_after("library"), "README.md", "exec"), {})
    assert float(capsys.readouterr().out) >= 0.5
