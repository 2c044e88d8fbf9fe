"""What can be set in fetching a classifier by its name."""

from __future__ import annotations

import dataclasses

from rsparse.options.fields import Parameters, parameter


@dataclasses.dataclass(frozen=True)
class FetchParameters(Parameters):
    """Getting a classifier by its name."""

    pretrained: bool = parameter(
        True, "With the weights that the name stands for, downloaded once; or random ones."
    )
    seed: int = parameter(0, "Seed of random weights.", minimum=0, maximum=2**32 - 1)
