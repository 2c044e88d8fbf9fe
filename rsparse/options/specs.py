"""Specs of attacks and defenses: ``name:parameter=value,parameter=value``.

``bim:eps=8,steps=20`` is one attack. A list of values (``fgsm:eps=2,10,22``) stands for one attack
per value, several lists for one per combination. This module imports nothing heavy.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rsparse.errors import InputError
from rsparse.options.fields import Parameters, describe, field_type, number_from, word_of
from rsparse.options.renamed import new_spelling

P = TypeVar("P", bound=Parameters)
_SWITCHES = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_SWITCH_WORDS = {"true": "yes", "false": "no"}  # how a spec spells a switch


def parse_spec(
    text: str,
    registry: Mapping[str, type[P]],
    *,
    kind: str = "attack",
    find_other: Callable[[str], type[P] | None] = lambda name: None,
    other_names: Callable[[], Iterable[str]] = tuple,
    more: str = "",
) -> list[P]:
    """The parameter sets that a spec stands for, in its order.

    Parameters
    ----------
    text : str
        ``name``, ``name:parameter=value`` or ``name:parameter=value,value,parameter=value``. A
        comma before ``word=`` starts the next parameter, any other comma the next value.
    registry : mapping of str to Parameters class
        The known names.
    kind : str
        What a name stands for, for messages.
    find_other, other_names
        A function that looks up a name that ``registry`` lacks, and one that lists such names.
    more : str
        What else is known, for the error that lists the registry's names.

    Raises
    ------
    InputError
        If a name, parameter or value is unknown; the message suggests the nearest known one.

    Examples
    --------
    >>> from rsparse.attacks import ATTACKS
    >>> parse_spec("fgsm:eps=2,10", ATTACKS)
    [Fgsm(eps=2.0), Fgsm(eps=10.0)]
    """
    name, _, rest = text.partition(":")
    parameter_class = registry.get(name) or find_other(name)
    if parameter_class is None:
        raise unknown_name(kind, name, registry, other_names(), more)
    fields = {field.name: field for field in dataclasses.fields(parameter_class)}
    try:
        values = {
            parameter: [_value(fields[parameter], word, name) for word in words]
            for parameter, words in _words(rest, name, fields).items()
        }
        for field in fields.values():
            if field.default is dataclasses.MISSING and field.name not in values:
                raise InputError(f"needs {field.name}=…, {describe(field)}")
        sets = [
            parameter_class(**dict(zip(values, choice, strict=True)))
            for choice in itertools.product(*values.values())
        ]
    except InputError as error:
        raise InputError(f"{kind} {text!r}: {error}") from None
    if len(set(sets)) < len(sets):
        raise InputError(f"{kind} {text!r}: gives the same {kind} twice")
    return sets


def spec_text(name: str, parameters: Parameters) -> str:
    """The shortest unambiguous name of a parameter set, usable as a folder name.

    It contains the strengths (``strengths`` of the class) and all values that are not defaults.

    Examples
    --------
    >>> from rsparse.attacks import Bim
    >>> spec_text("bim", Bim(eps=8, steps=20))
    'bim-eps=8-steps=20'
    """
    return "-".join([name, *(f"{field}={word}" for field, word in _stated(parameters).items())])


def spec_string(name: str, parameters: Parameters) -> str:
    """The spec of a parameter set, with the values that ``spec_text`` contains.

    Examples
    --------
    >>> from rsparse.attacks import Bim
    >>> spec_string("bim", Bim(eps=8, steps=20))
    'bim:eps=8,steps=20'
    """
    words = {field: _SWITCH_WORDS.get(word, word) for field, word in _stated(parameters).items()}
    text = ",".join(f"{field}={word}" for field, word in words.items())
    return f"{name}:{text}" if text else name


def _stated(parameters: Parameters) -> dict[str, str]:
    """The strengths and all values that are not defaults, as words by name."""
    strengths = getattr(parameters, "strengths", ())
    words = {}
    for field in dataclasses.fields(parameters):
        value = getattr(parameters, field.name)
        if value != field.default or (field.name in strengths and value is not None):
            words[field.name] = word_of(field, value)
    return words


def named_folders(words: Sequence[str] | None, folder: Path = Path()) -> dict[str, Path]:
    """Parse ``[NAME=]FOLDER`` of several ``--adversarial`` into folders in ``folder``, by name.

    A folder without a name has its own name.

    Raises
    ------
    InputError
        If two folders have the same name, or a name cannot be part of a file name.
    """
    folders: dict[str, Path] = {}
    for word in words or ():
        named = re.fullmatch(r"([^=/\\]+)=(.+)", word)
        place = folder / (named[2] if named else word)
        name = named[1] if named else place.resolve().name
        if not re.fullmatch(r"\w[\w.+-]{0,99}", name):
            raise InputError(
                f"--adversarial: expected a name of letters, digits, '.', '_', '+' and '-', got "
                f"{name!r}; write --adversarial NAME={named[2] if named else word}"
            )
        if name in folders:
            raise InputError(
                f"--adversarial: the name {name!r} is given twice; write --adversarial NAME={place}"
            )
        folders[name] = place
    return folders


def named_files(words: Sequence[str] | None, folder: Path = Path()) -> dict[str, Path]:
    """Parse ``[NAME=]FILE`` of several options into files in ``folder``, by name.

    A file without a name has the name "".

    Raises
    ------
    InputError
        If two files have the same name.
    """
    files: dict[str, Path] = {}
    for word in words or ():
        named = re.fullmatch(r"([\w-]+)=(.+)", word)
        name, file = named.groups() if named else ("", word)
        if name in files:
            which = f"the dictionary {name!r}" if name else "a dictionary without a name"
            raise InputError(f"--dict: {which} is given twice; write --dict NAME={file}")
        files[name] = folder / file
    return files


def nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The known name most similar to ``name``, ignoring case, or None if none is similar.

    ``cutoff`` is the least similarity, 0 to 1.
    """
    by_lower = {other.lower(): other for other in reversed(list(known))}
    matches = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[matches[0]] if matches else None


def hint_of(name: str, known: Iterable[str], others: Iterable[str] = ()) -> str:
    """The end of an error for an unknown name: the nearest name, if any, and the known ones."""
    names = list(known)
    guess = nearest(name, names, cutoff=0.6) or nearest(name, [*names, *others])
    start = f"did you mean {guess}? Known" if guess else "known"
    return f"{start}: {', '.join(names)}"


def unknown_name(
    kind: str, name: str, registry: Iterable[str], others: Iterable[str] = (), more: str = ""
) -> InputError:
    """The error for an unknown name; it suggests the nearest one, also from ``others``.

    ``more`` says what else is known besides the registry.
    """
    return InputError(f"unknown {kind} {name!r}; {hint_of(name, registry, others)}{more}")


def _words(rest: str, spec: str, known: Iterable[str]) -> dict[str, list[str]]:
    """``eps=2,10,steps=20`` as ``{"eps": ["2", "10"], "steps": ["20"]}``."""
    words: dict[str, list[str]] = {}
    parameter = None
    for part in rest.split(",") if rest else []:
        key, equals, value = part.partition("=")
        if equals:
            parameter = _parameter(key.strip(), spec, known)
            if parameter in words:
                raise InputError(f"{parameter} is given twice; write {parameter}=…,… for a list")
            words[parameter] = [value.strip()]
        elif parameter is None:
            raise InputError(f"expected parameter=value, got {part!r}")
        else:
            words[parameter].append(part.strip())
    return words


def _parameter(key: str, spec: str, known: Iterable[str]) -> str:
    names = list(known)
    name = key.replace("-", "_")
    if name in names:
        return name
    new = new_spelling(f"{spec}:{key.replace('_', '-')}")
    if new is not None:
        raise InputError(f"{key} is now {new}")
    hint = hint_of(name, names) if names else "it takes none"
    raise InputError(f"unknown parameter {key!r}; {hint}")


def _value(field: dataclasses.Field[Any], word: str, spec: str) -> bool | int | float | str | None:
    """``word`` in the type of the field; the dataclass itself checks the range."""
    new = new_spelling(f"{spec}:{field.name.replace('_', '-')}={word}")
    if new is not None:
        raise InputError(f"{field.name}={word} is now {new}")
    if word.lower() in ("none", field.metadata.get("none")) and "None" in str(field.type):
        return None
    kind = field_type(field)
    if kind is str:
        return word
    try:
        return _SWITCHES[word.lower()] if kind is bool else number_from(field, word)
    except (ValueError, KeyError):
        raise InputError(f"{field.name}: expected {describe(field)}, got {word!r}") from None
