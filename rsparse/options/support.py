"""Parameters of ``rsparse support``."""

from __future__ import annotations

import dataclasses

from rsparse.options.fields import Parameters, parameter


@dataclasses.dataclass(frozen=True)
class SupportParameters(Parameters):
    """The sparse coder whose supports are compared (the paper's eq. 8–13)."""

    sparsity: int = parameter(2, "Atoms K per patch.", minimum=1, maximum=1024)
    min_correlation: float = parameter(
        0.0,
        "Stop adding atoms to a patch when none correlates more than this with the standardised "
        "residual; 0 stops only at K.",
        minimum=0,
        maximum=1000,
    )
    stride: int = parameter(4, "Distance of neighbouring patches in pixels.", minimum=1, maximum=64)
