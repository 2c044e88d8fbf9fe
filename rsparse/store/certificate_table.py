"""Certificates as a table: ``certificates.csv``, beside ``certificates.h5``."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from rsparse.core.smoothing import ABSTAIN
from rsparse.store.certificates import Certificates
from rsparse.store.csv_text import csv_line, name_cell, text_cell

TABLE_FILE = "certificates.csv"


def table_text(found: Certificates) -> str:
    """The table as CSV: a row for each image and σ."""
    header = ["name", "sigma", "certified", "class_name", "label", "right"]
    lines = [csv_line([*header, "p", "radius", "cap", "grey_levels"])]
    classes, p, radii = found.certified
    for number, name in enumerate(found.names):
        label = int(found.labels[number])
        for k, sigma in enumerate(found.sigmas):
            index = int(classes[k, number])
            answer = ["ABSTAIN", ""]
            if index != ABSTAIN:
                answer = [str(index), text_cell(found.class_names[index])]
            right = "" if label < 0 else ("yes" if index == label else "no")
            radius = float(radii[k, number])
            bounds = (float(p[k, number]), radius, float(found.caps[k]))
            numbers = [_rounded_down(bound, 6) for bound in bounds]
            known = "" if label < 0 else str(label)
            cells = [name_cell(name), f"{sigma:g}", *answer, known, right, *numbers]
            lines.append(csv_line([*cells, _rounded_down(found.grey(radius), 4)]))
    return "".join(lines)


def _rounded_down(bound: float, digits: int) -> str:
    """A lower bound with so many decimals, which stays one."""
    unit = Decimal(1).scaleb(-digits)
    return f"{Decimal(bound).quantize(unit, ROUND_DOWN):f}"
