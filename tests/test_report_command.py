"""``rsparse report``: output, missing parts and errors."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import rmtree

import pytest

from rsparse.commands.report.writing import write_report
from rsparse.evaluation.loading import load_evaluation
from rsparse.options.report import ReportParameters
from rsparse.store.images import encode_png
from tests.colour_evaluations import DICT
from tests.colours import MODEL
from tests.conftest import make_picture, tree_of
from tests.evaluations import FEW, make_eval_folder, make_evaluation
from tests.onnx_models import four_animals


@pytest.fixture
def eval_folder(tmp_path: Path) -> Path:
    evaluation = make_evaluation(3, defenses=FEW, transfer=False)
    return make_eval_folder(tmp_path / "eval", evaluation, [DICT, MODEL])


def test_equal_inputs_give_equal_bytes(eval_folder, tmp_path, run_cli):
    for name in ("one", "two"):
        result = run_cli(
            "report", eval_folder, "-o", tmp_path / name, "--dict", DICT, "--model",
            MODEL, "--format", "html", "--format", "md", "--format", "png", "--sheet-images", 2,
            "--attention-images", 1, "--activation-images", 1,
        )  # fmt: skip
        assert result.exit_code == 0
        assert result.stdout == f"{tmp_path / name / 'index.html'}\n"
    assert tree_of(tmp_path / "one") == tree_of(tmp_path / "two")
    folders = {Path(name).parent.name for name in tree_of(tmp_path / "one")}
    assert folders == {"", "data", "figures"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["eval", "one", "two"]


def test_without_dictionary_and_model_it_says_what_is_missing(eval_folder, tmp_path, run_cli):
    result = run_cli("report", eval_folder, "-o", tmp_path / "report")
    assert "Left out: regionsparse needs a dictionary: --dict dict.h5." in result.stderr
    assert result.exit_code == 0
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert page.count("Left out: regionsparse needs a dictionary") == 3


def test_without_the_images_it_says_so(tmp_path, run_cli):
    folder = make_eval_folder(
        tmp_path / "eval", make_evaluation(3, defenses=FEW, transfer=False), [DICT]
    )
    rmtree(folder / "attacks")
    result = run_cli("report", folder, "-o", tmp_path / "report", "--dict", DICT)
    assert "the images that were judged are not in the evaluation's folder." in result.stderr
    assert result.exit_code == 1
    assert (tmp_path / "report/index.html").exists()


def test_a_damaged_image_is_named(eval_folder, tmp_path, run_cli):
    for image in sorted((eval_folder / "attacks").rglob("*.png")):
        image.write_bytes(b"no picture")
    result = run_cli("report", eval_folder, "-o", tmp_path / "r", "--dict", DICT, "--json")
    assert result.exit_code == 1
    (failed,) = json.loads(result.stdout)["failed"]
    assert failed.startswith(f"{eval_folder / 'attacks'}")
    assert f"Left out: {failed}." in result.stderr.splitlines()


def test_tables_alone_need_no_pictures(eval_folder, tmp_path, run_cli):
    result = run_cli("report", eval_folder, "-o", tmp_path / "t", "--format", "md")
    assert result.stdout == f"{tmp_path / 't' / 'report.md'}\n"
    assert list(tree_of(tmp_path / "t")) == ["report.md"]
    text = (tmp_path / "t" / "report.md").read_text(encoding="utf-8")
    assert "## All defenses, gray-box" in text
    assert "3 images, only those that the undefended model classifies correctly" in text


def test_a_taken_output_is_refused(eval_folder, tmp_path, run_cli, assert_error):
    command = ("report", eval_folder, "-o", tmp_path / "r", "--format", "md")
    assert run_cli(*command).exit_code == 0
    assert_error(f"{tmp_path / 'r'}: exists; choose another output or pass --overwrite", *command)
    assert run_cli(*command, "--overwrite").exit_code == 0
    (tmp_path / "r" / "mine.txt").write_text("mine")
    line = f"{tmp_path / 'r'}: contains other files; choose an empty or new folder"
    assert_error(line, *command, "--overwrite")
    assert (tmp_path / "r" / "mine.txt").exists()


def test_a_folder_without_an_evaluation_is_refused(pictures, tmp_path, assert_error):
    line = f"{pictures}: contains no finished evaluation (evaluation.h5)"
    assert_error(line, "report", pictures, "-o", tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_an_output_inside_the_evaluation_is_refused(eval_folder, assert_error):
    output = eval_folder / "report"
    line = f"{output}: is inside the input {eval_folder}; choose another output"
    assert_error(line, "report", eval_folder, "-o", output)


def test_another_dictionary_is_refused(eval_folder, dict_file, tmp_path, assert_error):
    assert_error(
        f"{dict_file}: is not the file that the evaluation used",
        "report", eval_folder, "-o", tmp_path / "r", "--dict", dict_file,
    )  # fmt: skip


def test_an_unknown_format_is_refused(eval_folder, tmp_path, assert_error):
    assert_error(
        "format: expected one of html, md, png, csv, junit, got 'pdf'",
        "report", eval_folder, "-o", tmp_path / "r", "--format", "pdf",
    )  # fmt: skip


def test_a_failure_leaves_nothing_behind(eval_folder, tmp_path, monkeypatch: pytest.MonkeyPatch):
    def fail(*arguments: object) -> str:
        raise RuntimeError("no")

    monkeypatch.setattr("rsparse.commands.report.files.render_markdown", fail)
    with pytest.raises(RuntimeError):
        write_report(eval_folder, tmp_path / "r", ReportParameters(), formats=["md"])
    assert [path.name for path in tmp_path.iterdir()] == ["eval"]


def test_show_prints_the_record_of_an_evaluation(eval_folder, run_cli):
    lines = run_cli("show", eval_folder).stdout.splitlines()
    of_file = run_cli("show", eval_folder / "evaluation.h5").stdout.splitlines()
    assert lines[0].startswith("eval  rsparse-evaluation 4, by evaluate ")
    assert of_file[0].startswith("evaluation.h5  rsparse-evaluation 4, by evaluate ")
    assert len(lines) > 1
    assert lines[1:] == of_file[1:]


def test_certificates_of_its_images_are_a_section(eval_folder, tmp_path, run_cli):
    images = tmp_path / "imgs"
    names = load_evaluation(eval_folder).names
    for number, name in enumerate((*names, "another")):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / f"{name}.png").write_bytes(encode_png(make_picture(number, 32, 32)))
    few = ("--denoiser", "none", "--n0", 1, "--n", 20, "--sigma", "0.05,0.1")
    assert run_cli("certify", images, "-m", MODEL, "-o", tmp_path / "cert", *few).exit_code == 0
    result = run_cli(
        "report", eval_folder, "-o", tmp_path / "report", "--certificates", tmp_path / "cert"
    )
    assert result.exit_code == 0, result.stderr
    page = (tmp_path / "report/index.html").read_text(encoding="utf-8")
    assert '<section id="certified"' in page
    assert "±1 grey level everywhere is L2 0.11 at 16×16" in page
    assert "so no certificate here covers such an attack" in page
    rows = (tmp_path / "report/data/certified.csv").read_text().splitlines()
    assert rows[0] == "sigma,radius,grey_levels,certified,low,high,images"
    assert {row.split(",")[6] for row in rows[1:]} == {str(len(names))}


def test_certificates_that_do_not_cover_its_images_are_refused(
    eval_folder, tmp_path, run_cli, assert_error
):
    images = tmp_path / "imgs"
    images.mkdir()
    (images / "other.png").write_bytes(encode_png(make_picture(0, 32, 32)))
    few = ("--denoiser", "none", "--n0", 1, "--n", 20)
    certificates, output = tmp_path / "cert", tmp_path / "report"
    assert run_cli("certify", images, "-m", MODEL, "-o", certificates, *few).exit_code == 0
    names = load_evaluation(eval_folder).names
    assert_error(
        f"{certificates}: {len(names)} of {len(names)} images have no certificate, such as "
        f"{names[0]!r}",
        "report", eval_folder, "-o", output, "--certificates", certificates,
    )  # fmt: skip
    four_animals(tmp_path / "m.onnx")
    other = ("-m", tmp_path / "m.onnx", "-o", tmp_path / "others")
    assert run_cli("certify", images, *other, *few).exit_code == 0
    assert_error(
        f"{tmp_path / 'others'}: is not of a model that the evaluation used",
        "report", eval_folder, "-o", output, "--certificates", tmp_path / "others",
    )  # fmt: skip
