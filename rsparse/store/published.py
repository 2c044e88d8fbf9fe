"""Dictionaries by name: one comes with rsparse, the others are downloaded once and checked.

``rsparse/data/dictionaries/catalogue.json`` lists them with their SHA-256;
``scripts/dictionaries.py`` makes their files and the catalogue.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsparse.data import dictionary_catalogue, embedded_dictionary
from rsparse.errors import InputError, system_error
from rsparse.options.specs import named_files, unknown_name
from rsparse.store.files import read_bytes, sha256_of, sha256_of_file, write_atomic

CACHE_VARIABLE = "RSPARSE_CACHE"
ADDRESS_VARIABLE = "RSPARSE_DICTIONARIES"
TIMEOUT = 10.0
"""How many seconds to wait for an answer while downloading."""


@dataclass(frozen=True)
class PublishedDictionary:
    """A dictionary in the catalogue.

    Attributes
    ----------
    name : str
        Such as ``photos-8x8-1024``: the photographs, the patches, the number of atoms; ``-grey``
        follows if the patches are grey.
    sha256 : str
        Of its file.
    bytes : int
        The size of its file.
    patch_size, n_atoms : int
    color : bool
    error : dict of str to float
        By K: the relative squared error of patches that it did not learn from.
    """

    name: str
    sha256: str
    bytes: int
    patch_size: int
    n_atoms: int
    color: bool
    error: dict[str, float]

    @property
    def is_embedded(self) -> bool:
        """Whether it comes with rsparse."""
        return self.name == embedded_dictionary().stem

    @property
    def file(self) -> Path:
        """Where its file is, or will be once it is fetched."""
        return embedded_dictionary() if self.is_embedded else cache() / f"{self.name}.h5"

    @property
    def is_here(self) -> bool:
        """Whether its file is on this machine."""
        return self.file.is_file()


def published() -> dict[str, PublishedDictionary]:
    """All published dictionaries by name, the embedded one first."""
    return {name: PublishedDictionary(name, **values) for name, values in _catalogue().items()}


def published_name(word: str) -> bool:
    """Whether a word is the name of a published dictionary."""
    return word in _catalogue()


def cache() -> Path:
    """The folder of fetched dictionaries.

    ``RSPARSE_CACHE`` names its parent; by default it is ``rsparse`` in ``XDG_CACHE_HOME`` or in
    ``~/.cache``.
    """
    own = os.environ.get(CACHE_VARIABLE)
    if own:
        return Path(own) / "dictionaries"
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "rsparse" / "dictionaries"


def dictionary_files(words: Sequence[str] | None, folder: Path = Path()) -> dict[str, Path]:
    """Parse ``[NAME=]FILE`` of several ``--dict``; a FILE may be the name of a published one.

    Raises
    ------
    InputError
        As for ``named_files`` and ``file_of``.
    """
    return {name: file_of(path, folder) for name, path in named_files(words).items()}


def file_of(path: Path, folder: Path = Path()) -> Path:
    """The file of a dictionary that is given by its path or by its published name.

    A file of that path in ``folder`` comes first.

    Raises
    ------
    InputError
        If it is the name of a dictionary that has not been fetched, or whose file is damaged.
    """
    if (folder / path).exists() or not published_name(str(path)):
        return folder / path
    dictionary = published()[str(path)]
    again = f"rsparse dictionaries fetch {dictionary.name}"
    if not dictionary.is_here:
        raise InputError(f"{dictionary.name}: has not been fetched yet; run: {again}")
    if not dictionary.is_embedded and sha256_of_file(dictionary.file) != dictionary.sha256:
        raise InputError(f"{dictionary.file}: is damaged; run: {again}")
    return dictionary.file


def with_embedded(paths: Mapping[str, Path], needed: Collection[str]) -> dict[str, Path]:
    """The files of the needed dictionaries; the one without a name is the embedded one by default.

    Parameters
    ----------
    paths : mapping of str to Path
        The given files by the names of dictionaries.
    needed : collection of str
        The names that are needed. One that is neither given nor the default is left out.
    """
    known = {"": embedded_dictionary(), **paths}
    return {name: known[name] for name in needed if name in known}


def fetch_dictionary(name: str, address: str | None = None) -> tuple[PublishedDictionary, bool]:
    """Download a published dictionary, unless it is here and undamaged.

    Parameters
    ----------
    name : str
    address : str, optional
        The URL or the folder that has the files of all published dictionaries; by default that of
        the environment variable ``RSPARSE_DICTIONARIES``.

    Returns
    -------
    dictionary : PublishedDictionary
    downloaded : bool
        Whether it was not here before.

    Raises
    ------
    InputError
        If there is no such dictionary or no address, or if its file cannot be had or is not the
        one of the catalogue. Nothing is written then.
    """
    if not published_name(name):
        raise unknown_name("dictionary", name, _catalogue())
    dictionary = published()[name]
    file = dictionary.file
    if dictionary.is_embedded or (dictionary.is_here and sha256_of_file(file) == dictionary.sha256):
        return dictionary, False
    place = address or os.environ.get(ADDRESS_VARIABLE)
    if not place:
        raise InputError(
            f"{name}: no address to fetch it from is known; give --from URL, or a folder that "
            "scripts/dictionaries.py has made"
        )
    content = _content(place.rstrip("/"), dictionary)
    if sha256_of(content) != dictionary.sha256:
        raise InputError(
            f"{place}: {name}.h5 is not the file of the catalogue: its SHA-256 differs; fetch it "
            "again, or from another address"
        )
    write_atomic(file, content)
    return dictionary, True


def _content(place: str, dictionary: PublishedDictionary) -> bytes:
    """The file of a dictionary, from a folder or by HTTP; never more than its size and a byte."""
    if "://" not in place:
        return read_bytes(Path(place) / f"{dictionary.name}.h5")
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen

    url = f"{place}/{dictionary.name}.h5"
    if not url.startswith(("https://", "http://")):
        raise InputError(f"{place}: expected an address that begins with https://, or a folder")
    try:
        with urlopen(url, timeout=TIMEOUT) as answer:
            content: bytes = answer.read(dictionary.bytes + 1)
            return content
    except HTTPError as error:
        error.close()
        raise InputError(f"{url}: cannot be fetched: the server answers {error.code}") from error
    except (URLError, TimeoutError) as error:
        cause = error.reason if isinstance(error, URLError) else error
        if isinstance(cause, OSError) and cause.errno:
            raise system_error(cause, f"{url}: cannot be fetched") from error
        raise InputError(f"{url}: cannot be fetched: {cause}") from error


def _catalogue() -> dict[str, dict[str, Any]]:
    import json

    catalogue: dict[str, dict[str, Any]] = json.loads(read_bytes(dictionary_catalogue()))
    return catalogue
