"""What each operator of ONNX computes, in torch.

One function for each operator reads every version of it from operator set 7 on, since newer
versions mostly take as inputs what older ones had as attributes.
"""

from __future__ import annotations

from rsparse.models.torch.operators import (  # noqa: F401  (each registers its functions)
    layers,
    pointwise,
    pooling,
    reductions,
    resizing,
    selection,
    shapes,
)
from rsparse.models.torch.operators.registry import OPERATORS, Operator

__all__ = ["OPERATORS", "Operator"]
