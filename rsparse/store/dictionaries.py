"""``dict.h5``: a learned dictionary on disk.

======================  =================  ===================================================
dataset                 shape, dtype       meaning
======================  =================  ===================================================
``atoms``               (k, m) float32     atoms as rows, norm 1; attributes ``patch_size``
                                           (b), ``color`` and ``normalize``; m = b·b·3 or b·b
``held_out/sparsity``   (s,) int64         K
``held_out/error``      (s,) float64       relative squared error of OMP with K atoms
``images/name``         (n,) UTF-8         the training images
``images/sha256``       (n,) UTF-8         the digests of their files
======================  =================  ===================================================

Files of version 1 may hold a group ``levels``, which ``load_old_levels`` reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rsparse.core.dictionary import Dictionary
from rsparse.errors import InputError
from rsparse.store.files import FileCreator, atomic_path, sha256_of_file
from rsparse.store.hdf5 import create_hdf5, utf8
from rsparse.store.hdf5_reading import is_present, open_hdf5, read_array, read_attribute
from rsparse.store.published import file_of, with_embedded
from rsparse.store.records import DICTIONARY, Record, Source

_ALWAYS = ("noise_below", "sparsity", "localize", "prefilter")
_LEVELS = {
    "noise_below": "f",
    "sparsity": "iu",
    "localize": "b",
    "prefilter": "b",
    "period_below": "f",
    "weakest": "f",
    "stride": "iu",
}


def save_dictionary(
    path: Path,
    record: Record,
    dictionary: Dictionary,
    errors: Mapping[int, float],
    images: Mapping[str, str],
    create: FileCreator = atomic_path,
    *,
    packed: bool = False,
) -> None:
    """Write ``dict.h5``; ``images`` maps the names of the training images to their digests.

    ``create`` is as for ``create_hdf5``. With ``packed``, the atoms are compressed, which makes the
    file smaller if they are rounded.
    """
    packing: dict[str, Any] = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
    with create_hdf5(path, record, create) as file:
        atoms = file.create_dataset("atoms", data=dictionary.atoms, **(packing if packed else {}))
        atoms.attrs["patch_size"] = dictionary.patch_size
        atoms.attrs["color"] = dictionary.color
        atoms.attrs["normalize"] = dictionary.normalize
        held_out = file.create_group("held_out")
        held_out["sparsity"] = np.array(list(errors), dtype=np.int64)
        held_out["error"] = np.array(list(errors.values()), dtype=np.float64)
        learned_from = file.create_group("images")
        learned_from["name"] = utf8(list(images))
        learned_from["sha256"] = utf8(list(images.values()))


def load_dictionary(path: Path | str) -> tuple[Dictionary, dict[str, Any]]:
    """Read ``dict.h5``.

    Parameters
    ----------
    path : Path or str
        Its file, or the name of a published one.

    Returns
    -------
    dictionary : Dictionary
    record : dict

    Raises
    ------
    InputError
        If it is not an rsparse dictionary, its values are invalid, or a published one has not been
        fetched.
    """
    path = file_of(Path(path))
    with open_hdf5(path, DICTIONARY) as (file, record):
        with np.errstate(over="ignore"):  # overflow gives infinity, which is refused below
            atoms = read_array(file, "atoms", "f", (None, None)).astype(np.float32)
        patch_size = read_attribute(file["atoms"], "patch_size", "iu")
        color = read_attribute(file["atoms"], "color", "b")
        normalize = read_attribute(file["atoms"], "normalize", "b")
    try:
        with np.errstate(over="ignore"):
            return Dictionary(atoms, patch_size, color, normalize), record
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def load_old_levels(path: Path) -> list[dict[str, Any]] | None:
    """The noise levels in a dictionary of version 1, which chose the defense for an image.

    Returns
    -------
    list of dict, or None
        Each with ``noise_below``, ``sparsity``, ``localize`` and ``prefilter``, and, if the file
        has them, ``period_below``, ``weakest`` and ``stride``. Empty if a file of version 1 has no
        levels; ``None`` for a newer file.

    Raises
    ------
    InputError
        If it is not an rsparse dictionary, or its levels are invalid.
    """
    with open_hdf5(path, DICTIONARY) as (file, record):
        if record["format_version"] > 1:
            return None
        if not is_present(file, "levels"):
            return []
        columns = {
            name: read_array(file, f"levels/{name}", kinds, (None,))
            for name, kinds in _LEVELS.items()
            if name in _ALWAYS or is_present(file, f"levels/{name}")
        }
        if len(set(map(len, columns.values()))) > 1:
            raise ValueError("levels: its datasets differ in length")
        rows = zip(*(values.tolist() for values in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]


def load_dictionaries(
    paths: Mapping[str, Path], needed: Iterable[str] | None = None
) -> tuple[dict[str, Dictionary], dict[str, Source]]:
    """Read several dictionaries and their sources for a record, both by name.

    Parameters
    ----------
    paths : mapping of str to Path
        Their files.
    needed : iterable of str, optional
        The names that are needed, by default those in ``paths``. If "" is needed and not given, it
        is the embedded dictionary.

    Raises
    ------
    InputError
        As for ``load_dictionary``.
    """
    wanted = with_embedded(paths, tuple(paths if needed is None else needed))
    loaded = {name: load_dictionary(path) for name, path in wanted.items()}
    sources = {
        name: Source(wanted[name].name, sha256_of_file(wanted[name]), record)
        for name, (_, record) in loaded.items()
    }
    return {name: dictionary for name, (dictionary, _) in loaded.items()}, sources
