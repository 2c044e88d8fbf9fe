"""Unusual file names: nothing breaks, and no control characters reach the terminal."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from rsparse.cli.console import answer_json, shown
from rsparse.errors import as_text, one_line
from rsparse.store.images import encode_png
from rsparse.store.predictions import load_predictions
from tests.conftest import make_picture
from tests.onnx_models import four_animals

NAMES = (
    "a\x1b[31mred", "b\nline", "c\rreturn", "d\x85next", "e\x9b31mcsi", "f\u202ebidi",
    "[bold]g[red]", "=1+1", "+h", "-i", "@j", "k\u2028line", "l" * 200 + "ü" * 20, "m\tm",
    "n\"'o",
)  # fmt: skip


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder with an odd name, which holds images with odd names, and a model."""
    folder = tmp_path / "im\x1b[32mgs"
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        (folder / f"{name}.png").write_bytes(encode_png(make_picture(seed, 12, 12)))
    four_animals(tmp_path / "m.onnx")
    return folder


def is_clean(text: str) -> bool:
    return all(c.isprintable() or c == "\n" for c in text)


def test_predictions_keep_every_name(odd: Path, run_cli: Callable[..., Result]) -> None:
    model = odd.with_name("m.onnx")
    piped = run_cli("classify", odd, "-m", model)
    assert is_clean(piped.stderr)
    rows = list(csv.reader(io.StringIO(piped.stdout, newline="")))
    assert sorted(row[0].removeprefix("./") for row in rows[1:]) == sorted(NAMES)
    assert {row[0] for row in rows} >= {"./=1+1", "./+h", "./-i", "./@j"}
    output = odd.with_name("p\x1b.h5")
    assert run_cli("classify", odd, "-m", model, "-o", output).exit_code == 0
    assert [row.name for row in load_predictions(output)[0]] == sorted(NAMES)
    as_json = run_cli("classify", odd, "-m", model, "--json").stdout
    assert is_clean(as_json)
    found = json.loads(as_json)["predictions"]
    assert [row["name"] for row in found] == sorted(NAMES)


def test_purified_images_keep_every_name(odd: Path, run_cli, dict_file: Path) -> None:
    output = odd.with_name("out")
    done = run_cli("purify", odd, "-d", dict_file, "--sparsity", 2, "-o", output)
    assert (done.exit_code, is_clean(done.stderr)) == (0, True)
    assert sorted(path.stem for path in output.glob("*.png")) == sorted(NAMES)
    shown_record = run_cli("show", output).stdout
    assert is_clean(shown_record)
    assert "im\\x1b[32mgs" in shown_record
    assert run_cli("verify", output).exit_code == 0


def test_labels_by_the_cells_of_our_own_csv(odd: Path, run_cli: Callable[..., Result]) -> None:
    model, predicted, labels = (odd.with_name(name) for name in ("m.onnx", "p.csv", "l.csv"))
    assert run_cli("classify", odd, "-m", model, "-o", predicted).exit_code == 0
    text = predicted.read_bytes().decode()
    head, rest = text.split("\n", 1)
    labels.write_bytes(
        f"{head.replace('name', 'file', 1).replace('class_1', 'label')}\n{rest}".encode()
    )
    done = run_cli("classify", odd, "-m", model, "--labels", labels)
    assert "100.0 % (15 of 15" in done.stderr, done.stderr


def test_names_that_are_not_utf8(tmp_path: Path, run_cli, dict_file: Path) -> None:
    """Folders, models and dictionaries may have any name; an image is skipped and reported."""
    place = os.fsencode(tmp_path)
    Path(os.fsdecode(place + b"/im\xff")).mkdir()
    content = encode_png(make_picture(0, 12, 12))
    for name in (b"ok", b"no\xfe"):
        Path(os.fsdecode(place + b"/im\xff/" + name + b".png")).write_bytes(content)
    folder, model, dictionary, output, predicted = (
        os.fsdecode(place + name)
        for name in (b"/im\xff", b"/m\xff.onnx", b"/d\xff.h5", b"/o\xff", b"/p\xff.csv")
    )
    four_animals(Path(model))
    Path(dictionary).write_bytes(dict_file.read_bytes())
    done = run_cli("purify", folder, "-d", dictionary, "--sparsity", 2, "-o", output)
    assert (done.exit_code, is_clean(done.stderr)) == (1, True)
    assert "im\\xff/no\\xfe.png: its name is not valid UTF-8" in done.stderr
    assert done.stdout_bytes == os.fsencode(output) + b"\n"
    record = json.loads((Path(output) / "manifest.json").read_text())
    assert [source["name"] for source in record["inputs"]] == ["im\\xff", "d\\xff.h5"]
    classified = run_cli("classify", output, "-m", model, "-o", predicted)
    assert classified.exit_code == 0
    assert run_cli("verify", output, predicted, "--json").exit_code == 0


def test_an_evaluation_of_a_model_that_is_not_named_in_utf8(
    tmp_path: Path, run_cli, pictures
) -> None:
    pytest.importorskip("foolbox")
    model = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xff.onnx"))
    four_animals(model)
    labels = tmp_path / "l.csv"
    labels.write_text("file,label\na,0\nb,1\nsub/c,2\n")
    output = tmp_path / "ev"
    done = run_cli(
        "evaluate", pictures, "-m", model, "-a", "noise", "--labels", labels, "--all-images",
        "--no-extra-checks", "-o", output,
    )  # fmt: skip
    assert (done.exit_code, is_clean(done.stderr)) == (0, True)
    assert run_cli("report", output, "-o", tmp_path / "r", "--format", "md").exit_code == 0


def test_json_on_a_stream_that_is_not_utf8(odd: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rsparse", "show", "--json", named_dictionary(odd, "图😀.h5")],
        env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["parameters"] == {"name": "图😀"}


def named_dictionary(folder: Path, name: str) -> Path:
    """Save a dictionary under this name; its record holds the name too."""
    from rsparse.core.dictionary import Dictionary
    from rsparse.store.dictionaries import save_dictionary
    from rsparse.store.records import DICTIONARY, Record

    path = folder.with_name(name)
    record = Record(DICTIONARY, "learn-dict", {"name": path.stem}, 0)
    save_dictionary(path, record, Dictionary(np.eye(48, dtype=np.float32), 4), {}, {})
    return path


def test_control_characters_are_shown_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown("a\x1b[2J\nb\x9bc\udcff") == "a\\x1b[2J\nb\\x9bc\\xff"
    assert one_line("a\nb") == "a\\nb"
    assert as_text("a\udcff") == "a\\xff"
    answer_json({"a\x9b": "\x1b\u202e\udcff"})
    text = capsys.readouterr().out
    assert is_clean(text)
    assert json.loads(text) == {"a\x9b": "\x1b\u202e\udcff"}
