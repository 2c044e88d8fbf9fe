"""The engine in torch with its slow steps replaced by kernels."""

from __future__ import annotations

from rsparse.core.engines.torch.engine import TorchEngine
from rsparse.core.engines.torch.steps import Steps
from rsparse.core.engines.triton.bands import bands
from rsparse.core.engines.triton.bilateral import bilateral
from rsparse.core.engines.triton.patches import take
from rsparse.core.engines.triton.pursuit import pursue


class TritonEngine(TorchEngine):
    """Runs torch and Triton on a GPU, or Triton's interpreter in tests (``TRITON_INTERPRET=1``)."""

    name = "triton"
    steps = Steps(bilateral, take, pursue, bands)
