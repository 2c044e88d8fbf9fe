"""Every parameter of every stage and attack checks its range and names what it accepts."""

from __future__ import annotations

import dataclasses
import importlib
import math
import pkgutil

import pytest

from rsparse import options
from rsparse.attacks import ATTACKS
from rsparse.defenses import DEFENSES
from rsparse.options.fields import Parameters, describe, field_type, parameter
from tests.refusals import refused

MODULES = [
    importlib.import_module(f"rsparse.options.{module.name}")
    for module in pkgutil.iter_modules(options.__path__)
    if module.name not in ("fields", "specs")
]
OF_STAGES = {
    kind
    for module in MODULES
    for kind in vars(module).values()
    if isinstance(kind, type)
    and kind.__module__ == module.__name__
    and issubclass(kind, Parameters)
}
KINDS = [*sorted(OF_STAGES, key=lambda kind: kind.__name__), *ATTACKS.values(), *DEFENSES.values()]
FIELDS = [
    pytest.param(kind, field, id=f"{kind.__name__}.{field.name}")
    for kind in KINDS
    for field in dataclasses.fields(kind)
    if field.init
]


LEFT_OUT = [("TrainParameters", "noise"), ("TrainParameters", "denoiser")]
"""Of no use without noise, and left out of a record then."""


def make(kind: type[Parameters], name: str, value: object) -> Parameters:
    return kind(**{name: value})


def outside(field: dataclasses.Field) -> list[object]:
    """Values that the field must refuse."""
    rules, kind = field.metadata, field_type(field)
    wrong = {bool: [1, 0, "true", 1.0], int: [1.5, "3", True, math.nan], str: [3, True, b"sobel"],
             float: ["3", True, math.nan, math.inf, -math.inf]}[kind]  # fmt: skip
    values: list[object] = [*wrong, [1], {}, object]
    if "None" not in str(field.type):
        values.append(None)
    step = 1 if kind is int else 1e-6
    if rules["minimum"] is not None:
        values.append(kind(rules["minimum"] - step))
    if rules["maximum"] is not None:
        values.append(kind(rules["maximum"] * (1 + 1e-6) + step))
    if rules["above"] is not None:
        values += [kind(rules["above"]), kind(rules["above"] - step)]
    if rules["odd"]:
        values.append(4)
    if rules["choices"] is not None:
        values += ["", "no such choice", rules["choices"][0].upper()]
    return values


def inside(field: dataclasses.Field) -> list[object]:
    """Values at the ends of the field's range."""
    rules, kind = field.metadata, field_type(field)
    if kind is bool:
        return [True, False]
    if rules["choices"] is not None:
        return list(rules["choices"])
    ends = [kind(rules[end]) for end in ("minimum", "maximum") if rules[end] is not None]
    if rules["above"] is not None:
        ends.append(kind(rules["above"] + 1) if kind is int else rules["above"] + 1e-9)
    return [end for end in ends if not rules["odd"] or end % 2]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_defaults_are_in_range_and_all_is_frozen_and_recorded(kind):
    made = kind()
    record = made.as_record()
    for field in dataclasses.fields(made):
        assert field.name in record or (kind.__name__, field.name) in LEFT_OUT
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.anything = 1
    assert kind() == made
    assert hash(kind()) == hash(made)
    assert kind.__doc__
    assert "Parameters" in repr(made) or kind.__name__ in repr(made)


@pytest.mark.parametrize(("kind", "field"), FIELDS)
def test_each_field_explains_itself(kind, field):
    help_text = field.metadata["help"]
    assert help_text
    assert help_text.endswith((".", ";"))
    assert describe(field)


@pytest.mark.parametrize(("kind", "field"), FIELDS)
def test_values_outside_the_range_are_refused(kind, field):
    name = field.name.replace("_", "-")
    for value in outside(field):
        with refused(f"{name}: expected {describe(field)}, got {value!r}"):
            make(kind, field.name, value)


@pytest.mark.parametrize(("kind", "field"), FIELDS)
def test_values_at_the_ends_of_the_range_are_taken(kind, field):
    question = field.metadata["question"] or (lambda name, value: None)
    for value in inside(field):
        if question(field.name, value) is not None:
            continue  # see tests/test_units.py
        assert getattr(make(kind, field.name, value), field.name) == value
    if "None" in str(field.type):
        make(kind, field.name, None)  # some replace None by another value


@dataclasses.dataclass(frozen=True)
class Example(Parameters):
    """One field of each kind."""

    whole: int = parameter(3, minimum=0, maximum=255)
    more: int = parameter(3, minimum=2)
    less: int = parameter(3, maximum=1e6)
    odd: int = parameter(3, minimum=1, maximum=99, odd=True)
    number: float = parameter(1.0, above=0)
    share: float = parameter(0.5, above=0, maximum=1)
    any_number: float = parameter(0.0)
    choice: str = parameter("a", choices=("a", "b"))
    text: str = parameter("")
    switch: bool = parameter(False)
    maybe: float | None = parameter(None, minimum=0)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ({"whole": 256}, "whole: expected a whole number from 0 to 255, got 256"),
        ({"more": 1}, "more: expected a whole number of 2 or more, got 1"),
        ({"less": 2e6}, "less: expected a whole number of 1e+06 or less, got 2000000.0"),
        ({"odd": 4}, "odd: expected an odd whole number from 1 to 99, got 4"),
        ({"number": 0}, "number: expected a number above 0, got 0.0"),
        ({"share": 2}, "share: expected a number above 0 up to 1, got 2.0"),
        ({"any_number": "x"}, "any-number: expected a number, got 'x'"),
        ({"choice": "c"}, "choice: expected one of a, b, got 'c'"),
        ({"text": 1}, "text: expected a text, got 1"),
        ({"switch": "no"}, "switch: expected true or false, got 'no'"),
        ({"maybe": -1}, "maybe: expected a number of 0 or more, got -1.0"),
    ],
)
def test_the_words_of_each_refusal(value, line):
    with refused(line):
        Example(**value)


def test_whole_numbers_become_floats_where_floats_are_wanted():
    assert repr(Example(number=2, maybe=3)) == repr(Example(number=2.0, maybe=3.0))
    assert isinstance(Example(number=2).number, float)


def test_a_field_of_another_type_is_a_mistake_in_the_program():
    @dataclasses.dataclass(frozen=True)
    class Wrong(Parameters):
        values: list = dataclasses.field(default_factory=list)

    with pytest.raises(TypeError, match="values: list cannot be a parameter"):
        Wrong()
