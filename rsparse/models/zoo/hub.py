"""The one place that imports huggingface_hub: weights, downloaded once and checked."""

from __future__ import annotations

import errno
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsparse.errors import InputError, reason
from rsparse.store.files import sha256_of_file

WEIGHTS_FILE = "model.safetensors"
TIMEOUT = 10.0
"""Seconds that the hub may take to answer."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Weights:
    """A checked file of weights in the hub's cache."""

    path: Path
    sha256: str
    downloaded: bool


def fetch_weights(repository: str) -> Weights:
    """The weights of a repository of the Hugging Face hub.

    They are looked for in the hub's cache (``HF_HOME``) and downloaded from the hub or the mirror
    that ``HF_ENDPOINT`` names. The file's SHA-256 is compared with the one the hub tells, in the
    cache too: a damaged file there is downloaded again.

    Raises
    ------
    InputError
        If it cannot be downloaded or stored, or if it is not what the hub says.
    """
    import huggingface_hub as hub

    cached = hub.try_to_load_from_cache(repository, WEIGHTS_FILE)
    if isinstance(cached, str):
        path, expected = Path(cached), _name_in_cache(Path(cached))
        if expected is not None and sha256_of_file(path) == expected:
            return Weights(path, expected, downloaded=False)
    with _hub_errors_told(hub, repository), _quiet(hub):
        told = hub.get_hf_file_metadata(hub.hf_hub_url(repository, WEIGHTS_FILE), timeout=TIMEOUT)
        expected = told.etag
        if not _SHA256.fullmatch(expected or ""):
            raise InputError("the hub does not tell its SHA-256, so it cannot be checked")
        again = isinstance(cached, str) and sha256_of_file(Path(cached)) != expected
        path = Path(hub.hf_hub_download(repository, WEIGHTS_FILE, force_download=again))
    if sha256_of_file(path) != expected:
        path.resolve().unlink(missing_ok=True)
        raise InputError(
            f"{_place(hub, repository)}: arrived damaged: its SHA-256 is not the one that the hub "
            "tells; run the same command again"
        )
    return Weights(path, expected, downloaded=True)


def _name_in_cache(path: Path) -> str | None:
    """The SHA-256 that a cached file was stored under: the cache links to it by that name."""
    try:
        name = path.readlink().name
    except OSError:
        return None  # a copy, where the disk has no links
    return name if _SHA256.fullmatch(name) else None


def _place(hub: Any, repository: str) -> str:
    return f"{hub.constants.ENDPOINT}/{repository}: {WEIGHTS_FILE}"


@contextmanager
def _quiet(hub: Any) -> Iterator[None]:
    """Without the hub's log: what matters is raised, and said once."""
    level = hub.utils.logging.get_verbosity()
    hub.utils.logging.set_verbosity(hub.utils.logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        hub.utils.logging.set_verbosity(level)


@contextmanager
def _hub_errors_told(hub: Any, repository: str) -> Iterator[None]:
    """Turn what goes wrong on the way into one line."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{_place(hub, repository)}: {error}") from None
    except Exception as error:  # of the hub, of its HTTP library, of the disk
        told = _explained(hub.errors, error)
        raise InputError(f"{_place(hub, repository)}: {told}") from error


def _explained(errors: Any, error: Exception) -> str:
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "is not in the cache, and HF_HUB_OFFLINE forbids to download it"
    if isinstance(error, errors.GatedRepoError):
        return "wants you to log in to the hub and accept its terms first"
    if isinstance(error, (errors.RepositoryNotFoundError, errors.EntryNotFoundError)):
        return "the hub does not have it"
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        later = "; try again later" if status == 429 or status >= 500 else ""
        return f"the hub answered with status {status}{later}"
    if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
        return f"cannot be stored in the cache: {reason(error)}; HF_HOME names another place"
    return (
        "cannot be downloaded; is there a connection? "
        f"({type(error).__name__}: {' '.join(str(error).split())[:200]})"
    )


_OF_THE_DISK = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)
)
