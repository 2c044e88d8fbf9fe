"""What an attacker who knows the detector leaves of it."""

from __future__ import annotations

EVASION = (
    "An attacker who knows the detector evades it; what it finds says nothing about such attacks."
)
"""Printed with every result of ``rsparse detect``."""
