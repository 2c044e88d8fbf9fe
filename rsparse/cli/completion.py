"""What a shell completes as the value of an option: names, and the parameters of specs.

typer speaks with the shells. Bash also splits words at ``:`` and ``=``, and replaces only what
follows the last of these; ``join_words`` gives typer the words as they were typed, and
``completer`` answers what bash expects.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from rsparse.options.fields import Parameters, field_type, word_of

Registry = Mapping[str, type[Parameters]]
Values = Callable[[str], Iterable[str]]

VARIABLE = "_RSPARSE_COMPLETE"
_PREFIX = "_RSPARSE_COMPLETE_PREFIX"
_BREAKS = re.compile("[:=]+")


def prepare() -> None:
    """Prepare an answer to a shell."""
    sys.modules["rich"] = None  # type: ignore[assignment]  # typer would format plain text with it
    join_words(os.environ)


def join_words(environment: MutableMapping[str, str]) -> None:
    """Join the words that bash split at ``:`` and ``=``, up to the one that is completed.

    What precedes the last part of that word stays in a variable for ``completer``.
    """
    if environment.get(VARIABLE) != "complete_bash":
        return
    text, current = environment["COMP_WORDS"], int(environment["COMP_CWORD"])
    words = text.split("\n" if "\n" in text else None)
    joined, last = [""], ""
    for word in words[: current + 1]:
        if _BREAKS.fullmatch(word) or _BREAKS.fullmatch(last):
            joined[-1] += word
        else:
            joined.append(word)
        last = word
    del joined[0]
    if current < len(words):
        tail = "" if _BREAKS.fullmatch(last) else last
        prefix = joined.pop().removesuffix(tail)
        if prefix.startswith("--"):
            option, _, prefix = prefix.partition("=")
            joined.append(option)
        environment[_PREFIX] = prefix
        joined += [tail] if tail else []
        current = len(joined) - bool(tail)
    else:
        current = len(joined)
    environment.update(COMP_WORDS="\n".join(joined), COMP_CWORD=str(current))


def completer(values: Values) -> Callable[..., list[str]]:
    """A function for typer's ``autocompletion``.

    ``values`` takes what was typed and returns whole values; those that do not continue it are
    left out.
    """

    def complete(incomplete: str) -> list[str]:
        prefix = os.environ.get(_PREFIX, "")
        typed = prefix + incomplete
        found = (value for value in values(typed) if value.startswith(typed))
        return [value.removeprefix(prefix) for value in found]

    return complete


def complete_words(known: Iterable[str]) -> Callable[..., list[str]]:
    """Complete one of several words."""
    return completer(lambda _: known)


def specs(
    registry: Callable[[], Registry],
    names: Callable[[], Iterable[str]] = tuple,
    *,
    chains: bool = False,
) -> Callable[..., list[str]]:
    """Complete a spec: its name, then its parameters with their defaults or choices.

    Parameters
    ----------
    registry : callable
        Returns the names with their parameters; it is called when a shell asks.
    names : callable
        Returns further names.
    chains : bool
        Whether specs can be joined by ``+``.
    """

    def values(typed: str) -> Iterable[str]:
        start, plus, part = typed.rpartition("+") if chains else ("", "", typed)
        name, colon, rest = part.partition(":")
        known = registry()
        if not colon or name not in known:
            found: Iterable[str] = [*known, *names()]
        else:
            found = (f"{name}:{text}" for text in _parameters(known[name], rest))
        return (start + plus + text for text in found)

    return completer(values)


def _parameters(kind: type[Parameters], typed: str) -> Iterable[str]:
    """The continuations of ``eps=8,st``: parameters that are not given yet, with a value."""
    start, comma, part = typed.rpartition(",")
    given = re.findall(r"(\w+)=", start)
    for field in dataclasses.fields(kind):
        if field.name not in given:
            for value in _values(field, is_asked=part.startswith(f"{field.name}=")):
                yield f"{start}{comma}{field.name}={value}"


def _values(field: dataclasses.Field[Any], *, is_asked: bool) -> Sequence[str]:
    """The default value of a parameter; if the shell asks for its values, all that have a name."""
    choices = field.metadata.get("choices")
    if field_type(field) is bool:
        choices = ("yes", "no")
    if is_asked and choices:
        return tuple(choices)
    if field.default is dataclasses.MISSING or field.default is None:
        return ("",)
    word = word_of(field, field.default)
    return ({"true": "yes", "false": "no"}.get(word, word),)


def _files(suffix: str) -> list[str]:
    """The files in this folder with a suffix; the shell itself completes those in others."""
    return sorted(path.name for path in Path().glob(f"*{suffix}"))


def _attacks() -> Registry:
    from rsparse.attacks import ATTACKS, PUBLISHED

    return ATTACKS | PUBLISHED


def _attack_sets() -> Iterable[str]:
    from rsparse.attacks.names import SETS

    return SETS


def _defenses() -> Registry:
    from rsparse.defenses import DEFENSES

    return DEFENSES


def _policies() -> Iterable[str]:
    from rsparse.defenses.policy import policy_names

    return policy_names()


def _denoisers() -> Registry:
    from rsparse.denoisers import DENOISERS

    return {**DENOISERS, **_defenses()}


def _scores() -> Registry:
    from rsparse.detection.registry import SCORES

    return SCORES


def _scenarios() -> Registry:
    from rsparse.evaluation.scenarios import SCENARIOS

    return SCENARIOS


def _dictionaries(typed: str) -> Iterable[str]:
    from rsparse.store.published import published

    name, equals, _ = typed.rpartition("=")
    return (name + equals + file for file in (*published(), *_files(".h5")))


ATTACKS = specs(_attacks, _attack_sets)
DEFENSES = specs(_defenses, lambda: (f"policy:{name}" for name in _policies()), chains=True)
DENOISERS = specs(_denoisers)
SCORES = specs(_scores)
SCENARIOS = specs(_scenarios)
POLICIES = completer(lambda _: (*_policies(), *_files(".toml")))
DICTIONARIES = completer(_dictionaries)

COMPLETIONS = {"a denoiser": DENOISERS}
"""Completions of the parameters whose text is of some kind (``what`` of ``parameter``)."""


def complete_layers(ctx: Any, incomplete: str) -> list[str]:
    """The layers of the model that was typed before, after those that are already named.

    Reading a graph needs onnx, whose import alone takes longer than all other completions.
    """
    from rsparse.errors import InputError
    from rsparse.models.onnx.file import load_onnx
    from rsparse.models.onnx.graph import activation_layers

    model = ctx.params.get("model")
    if model is None:
        return []
    try:
        known = [layer.name for layer in activation_layers(load_onnx(Path(model)).model)]
    except (InputError, OSError):
        return []  # the command itself says what is wrong
    named, comma, last = incomplete.rpartition(",")
    return [f"{named}{comma}{name}" for name in known if name.startswith(last)]
