"""Define denoisers: parameter sets that remove Gaussian noise of known σ from a float32 image.

Randomized smoothing (``rsparse certify``) puts one in front of a classifier. ``DENOISERS`` maps the
names used in specs to those that know σ: sparse coding of two kinds. Any defense is a denoiser,
too, which ignores σ. Importing this package imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsparse.defenses import parse_defense
from rsparse.defenses.recorded import defense_of
from rsparse.denoisers.denoiser import DefenseDenoiser, Denoiser
from rsparse.denoisers.sparse import OmpDenoiser, UnrolledDenoiser
from rsparse.errors import InputError
from rsparse.options.specs import parse_spec

__all__ = ["DENOISERS", "DefenseDenoiser", "Denoiser", "denoiser_of", "parse_denoiser"]

DENOISERS: dict[str, type[Denoiser]] = {
    denoiser.name: denoiser for denoiser in (UnrolledDenoiser, OmpDenoiser)
}


def parse_denoiser(text: str, folder: Path = Path()) -> Denoiser:
    """Return the denoiser that a spec describes: one of ``DENOISERS``, or any defense.

    Raises
    ------
    InputError
        If a name, parameter or value is unknown, or the spec describes several.

    Examples
    --------
    >>> parse_denoiser("omp:threshold=2.5").spec
    'omp:threshold=2.5,stride=4'
    >>> parse_denoiser("bit-depth:bits=5+gaussian").spec
    'bit-depth:bits=5+gaussian:sigma=1'
    """
    if text.partition(":")[0] in DENOISERS:
        found = parse_spec(text, DENOISERS, kind="denoiser")
    else:
        try:
            found = [DefenseDenoiser(defense) for defense in parse_defense(text, folder)]
        except InputError as error:
            names = ", ".join(DENOISERS)
            raise InputError(f"denoiser: {error}; further denoisers: {names}") from None
    if len(found) > 1:
        raise InputError(f"denoiser {text!r}: expected one, got {len(found)}; certify them apart")
    return found[0]


def denoiser_of(record: Mapping[str, Any]) -> Denoiser:
    """Recreate a denoiser from the result of its ``as_record``.

    Raises
    ------
    InputError
        If this version has no denoiser with that name or those parameters.
    """
    kind = DENOISERS.get(str(record.get("name")))
    if kind is None:
        return DefenseDenoiser(defense_of(record))
    try:
        return kind(**{key: value for key, value in record.items() if key != "name"})
    except TypeError as error:
        raise InputError(f"unknown denoiser {dict(record)}") from error
