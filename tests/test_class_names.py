"""Class names in the file formats in which they are published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rsparse.models.class_names import read_class_names
from tests.refusals import refused

NAMES = ("tench", "goldfish", "great white shark")
WITH_IDENTIFIERS = ("n01440764 tench", "n01443537 goldfish", "n01484850 shark, great white")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "names.json"


@pytest.mark.parametrize(
    "content",
    [
        list(NAMES),
        {str(number): name for number, name in enumerate(NAMES)},
        {"2": NAMES[2], "0": NAMES[0], "1": NAMES[1]},
        {name: number for number, name in enumerate(NAMES)},
        {name: str(number) for number, name in enumerate(NAMES)},
        {"id2label": {str(number): name for number, name in enumerate(NAMES)}, "hidden_size": 8},
        {"names": list(NAMES)},
        {"names": {"labels": list(NAMES)}},
        [{"id": number, "name": name} for number, name in reversed(list(enumerate(NAMES)))],
        [{"label": name} for name in NAMES],
    ],
    ids=lambda content: json.dumps(content)[:40],
)
def test_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content))
    assert read_class_names(path) == NAMES


@pytest.mark.parametrize("as_object", [True, False])
def test_identifiers_stand_before_names(path: Path, as_object: bool) -> None:
    rows = [["n01440764", "tench"], ["n01443537", "goldfish"],
            ["n01484850", "shark", "great white"]]  # fmt: skip
    path.write_text(json.dumps(dict(enumerate(rows)) if as_object else rows))
    assert read_class_names(path) == WITH_IDENTIFIERS


def test_a_python_literal(path: Path) -> None:
    path.write_text("{0: 'tench',\n 1: \"goldfish\",\n 2: 'great white shark'}")
    assert read_class_names(path) == NAMES


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("n01440764 tench\nn01443537 goldfish\n", ("n01440764 tench", "n01443537 goldfish")),
        ("0 tench\n1 goldfish\n", ("tench", "goldfish")),
        ("0: tench\n1:goldfish\n", ("tench", "goldfish")),
        ("0\n1\n2\n", ("0", "1", "2")),
        ("0 tench\n2 goldfish\n", ("0 tench", "2 goldfish")),
        ("0 - zero\n1 - one\n", ("0 - zero", "1 - one")),
    ],
)
def test_numbers_before_names(path: Path, text: str, names: tuple[str, ...]) -> None:
    path.write_text(text)
    assert read_class_names(path) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"0": "a", "2": "b"}', "expected classes 0 to 1, but class 1 is missing"),
        ('{"a": 0, "b": 0}', 'expected class names: a list, {"0": "tench", …} or {"tench": 0, …}, '
         "got another object"),
        ('{"a": "b"}', 'expected class names: a list, {"0": "tench", …} or {"tench": 0, …}, '
         "got another object"),
        ("{}", 'expected class names: a list, {"0": "tench", …} or {"tench": 0, …}, '
         "got another object"),
        ("[]", "expected class names, got an empty list"),
        ('["a", 3]', "expected a class name, got 3"),
        ('["a", [[]]]', "expected a class name, got [[]]"),
        ('[{"id": 0}]', "expected each class with a name and its own number, got {'id': 0}"),
    ],
)  # fmt: skip
def test_what_holds_no_class_names_is_refused(path: Path, text: str, message: str) -> None:
    path.write_text(text)
    with refused(f"{path}: {message}"):
        read_class_names(path)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"a": }', "{1: [1].x}"])
def test_invalid_json_is_refused(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(Exception, match="is not valid JSON") as error:
        read_class_names(path)
    assert str(error.value).startswith(f"{path}: ")
