"""What an attacker who knows the detector leaves of it, as ``studies.evasion`` measured."""

from __future__ import annotations

EVASION = (
    "An attacker who knows the detector evades it: 0 of 12 such attacks were found at a change of "
    "1 grey level, 0 of 14 at 2, 0 of 16 at 4 (docs/detect.md)."
)
"""Printed with every result of ``rsparse detect``."""
