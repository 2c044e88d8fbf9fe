"""Read an HDF5 file as the other modules would, within a time limit.

It is called as ``python -m rsparse.store.hdf5_trial FILE SECONDS``.

The process ends by a signal if the file makes libhdf5 read for ever or crash. What it reads does
not matter here, nor do errors that libhdf5 reports: they are reported again when the file is
opened.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Read the file that the command line names."""
    path, seconds = sys.argv[1:]
    signal.alarm(int(seconds))  # its default action ends the process, also within libhdf5
    _end_with_parent()
    with suppress(Exception):
        read_whole(Path(path))


def _end_with_parent() -> None:
    """Ask Linux to kill this process when its parent ends; elsewhere, the time limit ends it."""
    import ctypes

    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def read_whole(path: Path) -> None:
    """Read all groups, attributes and compressed datasets of a file.

    A dataset in one piece is only copied when it is read, which always ends.
    """
    import h5py

    from rsparse.store.hdf5_reading import members

    with h5py.File(path, "r", locking=False) as file:
        _read_attributes(file)
        for _, item in members(file):
            with suppress(Exception):
                _read_attributes(item)
                if isinstance(item, h5py.Dataset):
                    _read_chunks(item, file)


def _read_attributes(item: Any) -> None:
    for name in item.attrs:
        with suppress(Exception):
            if item.attrs.get_id(name).shape == ():
                item.attrs.get(name)


def _read_chunks(dataset: Any, file: Any) -> None:
    from rsparse.store.hdf5_reading import refuse_oversized

    elsewhere = dataset.external or dataset.is_virtual
    if dataset.chunks is not None and dataset.dtype.kind in "biufS" and not elsewhere:
        refuse_oversized(dataset, file)
        dataset[()]


if __name__ == "__main__":
    main()
