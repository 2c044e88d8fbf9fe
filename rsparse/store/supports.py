"""Write and read ``support.h5``: what attacks do to the atoms that sparse coding chooses.

It covers the n images that all folders contain, sorted by name, and the a folders of attacked
images in the order given:

=====================  ==============  =======================================================
dataset                shape, dtype    meaning
=====================  ==============  =======================================================
``name``               (n,) UTF-8      the image's name, the join key
``attack``             (a,) UTF-8      the name of each folder of attacked images
``sha256/benign``      (n,) UTF-8      of its file
``sha256/adversarial`` (n, a) UTF-8    of the attacked files
``radius``             (n,) float64    L2 radius around the benign image, with pixels in [0, 1],
                                       inside which no atom of any patch changes
``measured/<name>``    (n, a) float64  ``patches``, ``moved``, ``common``, ``analysis``,
                                       ``chosen``, ``inside``, ``survives``, ``change`` of
                                       ``rsparse.core.support.Comparison``; NaN where an
                                       attack changed nothing
=====================  ==============  =======================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsparse.store.files import FileCreator, atomic_path
from rsparse.store.hdf5 import create_hdf5, utf8
from rsparse.store.journal import Journal
from rsparse.store.records import Record

MEASURED = ("patches", "moved", "common", "analysis", "chosen", "inside", "survives", "change")


def save_supports(
    path: Path,
    record: Record,
    journal: Journal,
    attacks: Sequence[str],
    create: FileCreator = atomic_path,
) -> None:
    """Write ``support.h5`` from the entries of a journal; ``create`` is as for ``create_hdf5``.

    An entry has ``name``, ``sha256`` (of the benign file, then of each attacked one), ``radius``
    and, for each of ``MEASURED``, a list with a number or None for each attack.
    """
    entries = list(journal.entries())
    with create_hdf5(path, record, create) as file:
        file["name"] = utf8([entry["name"] for entry in entries])
        file["attack"] = utf8(list(attacks))
        sha256 = file.create_group("sha256")
        sha256["benign"] = utf8([entry["sha256"][0] for entry in entries])
        attacked = [digest for entry in entries for digest in entry["sha256"][1:]]
        sha256["adversarial"] = utf8(attacked).reshape(len(entries), len(attacks))
        file["radius"] = np.array([entry["radius"] for entry in entries], np.float64)
        measured = file.create_group("measured")
        for name in MEASURED:
            measured[name] = np.array([entry[name] for entry in entries], np.float64)
