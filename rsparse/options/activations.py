"""Parameters of ``rsparse activations``."""

from __future__ import annotations

import dataclasses

from rsparse.options.fields import Parameters, parameter


@dataclasses.dataclass(frozen=True)
class ActivationParameters(Parameters):
    """Activation visualization (the paper's Section III)."""

    gamma: float = parameter(
        0.0, "Threshold γ (eq. 7): only detectors whose response exceeds it count."
    )
