"""What can be set in measuring activations."""

from __future__ import annotations

import dataclasses

from rsparse.options.fields import Parameters, parameter


@dataclasses.dataclass(frozen=True)
class ActivationParameters(Parameters):
    """Activation visualization (the paper's Section III)."""

    gamma: float = parameter(
        0.0, "Threshold γ (eq. 7): detectors that respond no more than this do not count."
    )
