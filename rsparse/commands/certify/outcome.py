"""The outcome of ``rsparse certify``, and the files that it writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsparse.errors import InputError
from rsparse.pictures.certified import certified_chart
from rsparse.pictures.charts import png
from rsparse.store.certificate_table import TABLE_FILE, table_text
from rsparse.store.certificates import (
    CERTIFICATES_FILE,
    RADII,
    Certificates,
    save_certificates,
)
from rsparse.store.files import refuse_existing
from rsparse.store.journal import Journal
from rsparse.store.records import Record
from rsparse.store.together import appear_together
from rsparse.work.runs import Outcome

CHART_FILE = "certified.png"


@dataclass
class CertifyOutcome(Outcome):
    """Also holds the certificates, and the denoiser's spec."""

    certificates: Certificates | None = None
    denoiser: str = ""
    label_origin: str = "none"

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        found = self.certificates
        assert found is not None
        return {
            **super().as_json(),
            "denoiser": self.denoiser,
            "labels": self.label_origin,
            "n0": found.n0,
            "n": found.n,
            "alpha": found.alpha,
            "note": found.sentence,
            "by_sigma": [_of_sigma(found, k) for k in range(len(found.sigmas))],
            "images": [_of_image(found, number) for number in range(len(found.names))],
        }


def _of_sigma(found: Certificates, k: int) -> dict[str, Any]:
    cap = float(found.caps[k])
    shares = []
    for radius in RADII:
        if radius <= cap:
            share = found.certified_accuracy(k, radius)
            shares.append(
                {
                    "radius": radius,
                    "grey_levels": found.grey(radius),
                    "certified": share.value,
                    "interval_95": [share.low, share.high],
                    "count": share.correct,
                    "of": share.n,
                }
            )
    return {
        "sigma": found.sigmas[k],
        "cap": cap,
        "cap_grey_levels": found.grey(cap),
        "abstained": found.abstained(k),
        "certified_accuracy": shares,
    }


def _of_image(found: Certificates, number: int) -> dict[str, Any]:
    classes, p, radii = found.certified
    label = int(found.labels[number])
    rows = []
    for k, sigma in enumerate(found.sigmas):
        index, radius = int(classes[k, number]), float(radii[k, number])
        rows.append(
            {
                "sigma": sigma,
                "class": None if index < 0 else index,
                "class_name": None if index < 0 else found.class_names[index],
                "p": float(p[k, number]),
                "radius": radius,
                "grey_levels": found.grey(radius),
            }
        )
    known = None if label < 0 else label
    return {"name": found.names[number], "label": known, "certificates": rows}


def refuse_existing_certificates(folder: Path, overwrite: bool) -> Path:
    """Check that certificates may be written to a folder; return the path of the main file.

    Raises
    ------
    InputError
    """
    if folder.suffix.lower() in (".h5", ".hdf5", ".csv"):
        raise InputError(f"{folder}: name a folder; it will hold {CERTIFICATES_FILE}")
    for name in (TABLE_FILE, CHART_FILE, CERTIFICATES_FILE):
        refuse_existing(folder / name, overwrite)
    return folder / CERTIFICATES_FILE


def write_certificates(
    path: Path, record: Record, found: Certificates, denoiser: str, journal: Journal | None = None
) -> None:
    """Write the certificates, their table and their chart; they appear together."""
    with appear_together(path, journal) as members:
        save_certificates(path, record, found, members)
        table = table_text(found).encode(errors="backslashreplace")
        members.write(path.with_name(TABLE_FILE), table)
        drawn = png(certified_chart(found), f"Certified behind {denoiser}. {found.sentence}.")
        members.write(path.with_name(CHART_FILE), drawn)
