"""The engine in torch with kernels in the place of its slow steps."""

from __future__ import annotations

from rsparse.core.engines.torch.engine import TorchEngine
from rsparse.core.engines.torch.steps import Steps
from rsparse.core.engines.triton.bands import bands
from rsparse.core.engines.triton.bilateral import bilateral
from rsparse.core.engines.triton.patches import take
from rsparse.core.engines.triton.pursuit import pursue


class TritonEngine(TorchEngine):
    """A GPU by torch and Triton; or Triton's interpreter, for tests (``TRITON_INTERPRET=1``)."""

    name = "triton"
    steps = Steps(bilateral, take, pursue, bands)
