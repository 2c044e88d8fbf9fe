"""Load what a denoiser needs in addition to an image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rsparse.defenses.defense import Resources
from rsparse.denoisers.denoiser import Denoiser
from rsparse.errors import InputError
from rsparse.store.dictionaries import load_dictionaries
from rsparse.store.records import Source


def load_resources(
    denoiser: Denoiser, paths: Mapping[str, Path], seed: int
) -> tuple[Resources, dict[str, Source]]:
    """Load the dictionaries of a denoiser; also return their sources by name.

    Parameters
    ----------
    denoiser : Denoiser
    paths : mapping of str to Path
        Files by name; "" is the default one.
    seed : int
        For defenses that draw random numbers.

    Raises
    ------
    InputError
        If a dictionary cannot be used, is missing, or is one that the denoiser does not use.
    """
    for name, path in paths.items():
        if name not in denoiser.dictionaries:
            given = f"{name}={path}" if name else str(path)
            raise InputError(
                f"--dict {given}: the denoiser {denoiser.spec} does not use it; leave it out"
            )
    dictionaries, sources = load_dictionaries(paths, denoiser.dictionaries)
    resources = Resources(dictionaries, seed)
    denoiser.check(resources)
    return resources, sources
