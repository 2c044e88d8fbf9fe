"""Download weights from the Hugging Face hub, once, and check them."""

from __future__ import annotations

import errno
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from rsparse.errors import InputError, MachineError, is_of_machine, reason
from rsparse.models.telemetry import import_huggingface_hub
from rsparse.store.files import sha256_of_file

if TYPE_CHECKING:
    from rsparse.models.zoo.networks import ZooModel

WEIGHTS_FILE = "model.safetensors"
TIMEOUT = 10.0
"""How many seconds to wait for the hub to answer."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class CachedWeights:
    """A checked file of weights in the hub's cache."""

    path: Path
    sha256: str
    downloaded: bool


def fetch_weights(repository: str) -> CachedWeights:
    """Fetch the weights of a repository on the Hugging Face hub.

    If they are not in the hub's cache (``HF_HOME``), they are downloaded from the hub or from the
    mirror that ``HF_ENDPOINT`` names. The file's SHA-256 is compared with the one that the hub
    states. This applies to the cache too: a damaged file there is downloaded again.

    Raises
    ------
    InputError
        If the file cannot be downloaded or stored, or if its SHA-256 differs from the hub's.
    """
    hub = import_huggingface_hub()
    cached = hub.try_to_load_from_cache(repository, WEIGHTS_FILE)
    if isinstance(cached, str):
        path, expected = Path(cached), _name_in_cache(Path(cached))
        if expected is not None and sha256_of_file(path) == expected:
            return CachedWeights(path, expected, downloaded=False)
    with _errors_on_one_line(hub, repository), _quiet(hub):
        url = hub.hf_hub_url(repository, WEIGHTS_FILE)
        expected = hub.get_hf_file_metadata(url, timeout=TIMEOUT).etag
        if not _SHA256.fullmatch(expected or ""):
            raise InputError("cannot be checked, since the hub does not state its SHA-256")
        again = isinstance(cached, str) and sha256_of_file(Path(cached)) != expected
        path = Path(hub.hf_hub_download(repository, WEIGHTS_FILE, force_download=again))
    if sha256_of_file(path) != expected:
        path.resolve().unlink(missing_ok=True)
        raise InputError(
            f"{_place(hub, repository)}: arrived damaged: its SHA-256 differs from the one that "
            "the hub states; run the same command again"
        )
    return CachedWeights(path, expected, downloaded=True)


def weights_of(model: ZooModel) -> CachedWeights:
    """``fetch_weights`` for a network of timm.

    Raises
    ------
    InputError
        Also if it has no weights on the hub.
    """
    if model.repository is None:
        raise InputError(
            f"{model.name}: has no weights on the Hugging Face hub; "
            "pass --no-pretrained to build it with random weights"
        )
    return fetch_weights(model.repository)


def _name_in_cache(path: Path) -> str | None:
    """The SHA-256 of a cached file: the cache is a link to a file of that name."""
    try:
        name = path.readlink().name
    except OSError:
        return None  # a copy, if the disk does not support links
    return name if _SHA256.fullmatch(name) else None


def _place(hub: Any, repository: str) -> str:
    return f"{hub.constants.ENDPOINT}/{repository}: {WEIGHTS_FILE}"


@contextmanager
def _quiet(hub: Any) -> Iterator[None]:
    """Silence the hub's log and warnings; errors are raised anyway."""
    level = hub.utils.logging.get_verbosity()
    hub.utils.logging.set_verbosity(hub.utils.logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        hub.utils.logging.set_verbosity(level)


@contextmanager
def _errors_on_one_line(hub: Any, repository: str) -> Iterator[None]:
    """Turn any failure into an ``InputError`` of one line."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{_place(hub, repository)}: {error}") from None
    except Exception as error:  # from the hub, its HTTP library or the disk
        is_disk = is_of_machine(error) and _is_of_the_disk(error)
        kind = MachineError if is_disk else InputError
        raise kind(f"{_place(hub, repository)}: {_explain(hub.errors, error)}") from error


def _explain(errors: Any, error: Exception) -> str:
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "is not in the cache, and HF_HUB_OFFLINE forbids downloading it"
    if isinstance(error, errors.GatedRepoError):
        return "requires you to log in to the hub and accept its terms first"
    if isinstance(error, (errors.RepositoryNotFoundError, errors.EntryNotFoundError)):
        return "is not on the hub"
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        later = "; try again later" if status == 429 or status >= 500 else ""
        return f"the hub answered with status {status}{later}"
    if _is_of_the_disk(error):
        return f"cannot be stored in the cache: {reason(error)}; set HF_HOME to another folder"
    return (
        "cannot be downloaded; check the network connection "
        f"({type(error).__name__}: {' '.join(str(error).split())[:200]})"
    )


_DISK_ERRORS = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR,
     errno.EIO, errno.EMFILE)
)  # fmt: skip


def _is_of_the_disk(error: Exception) -> TypeGuard[OSError]:
    return isinstance(error, OSError) and error.errno in _DISK_ERRORS
