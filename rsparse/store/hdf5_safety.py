"""Decide whether an HDF5 file can be opened: a damaged one can make libhdf5 read for ever.

A file with a checksum is compared with it. If it also contains none of the structures that
libhdf5 follows from one to the next (heaps and trees), opening it ends. Any other file is first
read in a process of its own, which has a time limit (``rsparse.store.hdf5_trial``). That takes
longer than to read the file, and is done once for each content that has a checksum.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from rsparse.errors import InputError, MachineError, system_error
from rsparse.store.checksums import checksum_at_end, checksum_holds

SECONDS = 8  # more for large files
BYTES_PER_SECOND = 50 << 20
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_END_ADDRESS = slice(28, 36)  # in the superblock of versions 2 and 3
_STRUCTURES = np.frombuffer(
    b"GCOL" b"TREE" b"SNOD" b"HEAP" b"FRHP" b"FHDB" b"FHIB" b"FSHD" b"FSSE" b"BTHD"
    b"BTIN" b"BTLF" b"SMTB" b"SMLI" b"FAHD" b"FADB" b"EAHD" b"EAIB" b"EASB" b"EADB",
    "<u4",
)  # fmt: skip
"""How each of them starts, wherever it is in the file."""
_READ: set[bytes] = set()
"""Checksums of files that were read to their ends: the same content is not tried again."""


def refuse_unsafe(path: Path) -> bool:
    """Check that a file can be opened with h5py.

    Returns
    -------
    bool
        Whether the file has a checksum, which then holds.

    Raises
    ------
    InputError
        If it is missing, is not HDF5, differs from its checksum, or cannot be read within the time
        limit.
    """
    try:
        if not path.exists():
            raise InputError(f"{path}: no such file")
        if path.is_dir():
            raise InputError(f"{path}: is a folder, not an HDF5 file")
        if not path.is_file():  # a pipe would be waited for
            raise InputError(f"{path}: is not an HDF5 file")
        with path.open("rb") as file:
            start = file.read(_END_ADDRESS.stop)
            if not start.startswith(_SIGNATURE):
                raise InputError(f"{path}: is not an HDF5 file")
            size = os.fstat(file.fileno()).st_size
            search = _Search()
            checksum = checksum_at_end(file)
            is_sealed = checksum is not None
            if is_sealed and not checksum_holds(file, search.see):
                raise InputError(f"{path}: is damaged: it differs from its checksum")
            if not is_sealed and _has_more(start, size):
                raise InputError(f"{path}: is damaged: what follows its content is no checksum")
    except OSError as error:
        raise system_error(error, f"{path}: cannot be read") from error
    if not is_sealed or (search.found and checksum not in _READ):
        _read_elsewhere(path, SECONDS + size // BYTES_PER_SECOND)
        if checksum is not None:
            _READ.add(checksum)
    return is_sealed


def _has_more(start: bytes, size: int) -> bool:
    """Whether something follows the end of the HDF5 content, as recent versions record it."""
    is_recent = start[len(_SIGNATURE)] in (2, 3) if len(start) > len(_SIGNATURE) else False
    return is_recent and size > int.from_bytes(start[_END_ADDRESS], "little")


def is_hdf5(path: Path) -> bool:
    """Whether a file starts as HDF5 files do."""
    try:
        with path.open("rb") as file:
            return file.read(len(_SIGNATURE)) == _SIGNATURE
    except OSError:
        return False


class _Search:
    """Searches the blocks of a file for structures that libhdf5 follows."""

    def __init__(self) -> None:
        self.found = False
        self._end = b""

    def see(self, block: bytes) -> None:
        """Search the next block, and where it meets the one before."""
        letters = np.frombuffer(self._end + block, np.uint8)
        capital = letters - np.uint8(ord("A")) < 26
        four = np.flatnonzero(capital[:-3] & capital[1:-2] & capital[2:-1] & capital[3:])
        words = sum(letters[four + i].astype(np.uint32) << np.uint32(8 * i) for i in range(4))
        self.found = self.found or bool(np.isin(words, _STRUCTURES).any())
        self._end = block[-3:]


def _read_elsewhere(path: Path, seconds: int) -> None:
    """Read a file in a process of its own; ``InputError`` if that does not end, or crashes."""
    package = Path(__file__).parents[2]
    paths = os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "rsparse.store.hdf5_trial", str(path.absolute())]
    try:
        ended = subprocess.run(
            [*command, str(seconds)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths},
            check=False,
        )
    except OSError as error:
        raise system_error(error, f"{path}: no process could be started to read it") from error
    if ended.returncode == -signal.SIGALRM:
        raise InputError(f"{path}: is damaged: libhdf5 was still reading it after {seconds} s")
    if ended.returncode < 0:
        raise InputError(f"{path}: is damaged: libhdf5 crashes while it reads it")
    if ended.returncode:
        raise MachineError(f"{path}: the process that should try to read it did not start")
