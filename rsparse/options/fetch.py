"""Parameters of ``rsparse fetch``."""

from __future__ import annotations

import dataclasses

from rsparse.options.device import seed_parameter
from rsparse.options.fields import Parameters, parameter


@dataclasses.dataclass(frozen=True)
class FetchParameters(Parameters):
    """How a classifier is fetched by name."""

    pretrained: bool = parameter(
        True, "Use the published weights of that name, downloaded once, or random weights."
    )
    seed: int = seed_parameter("Seed of random weights.", rare=False)
