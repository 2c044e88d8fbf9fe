"""Speed up convolutions with frozen weights, for passes that need only the image's gradient.

Frozen weights allow three savings over torch's own convolution: their layout is prepared once
instead of at every call, the activation after a convolution is fused with it, and the input is
not kept. The oneDNN operators used here are those that torch itself compiles networks to.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import nn
from torch.fx import GraphModule, Node

_OPERATORS = (
    "_convolution_pointwise",
    "_convolution_transpose_pointwise",
    "_reorder_convolution_weight",
    "_reorder_convolution_transpose_weight",
)
_onednn: Any = torch.ops.mkldnn

Limits = tuple[float, float | None]  # an activation's clipping range; (0, None) is ReLU


def can_pack() -> bool:
    """Whether this build of torch has oneDNN and its operators for frozen weights."""
    return torch.backends.mkldnn.is_available() and all(
        hasattr(_onednn, name) for name in _OPERATORS
    )


class PackedConvolution(nn.Module):
    """A convolution with frozen weights, optionally followed by a ReLU.

    Parameters
    ----------
    convolution : Conv2d
        Padded with zeros.
    limits : (float, float), (float, None) or None
        The range that results are clipped to; ``None`` does not clip.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, convolution: nn.Conv2d, limits: Limits | None = None) -> None:
        super().__init__()
        bias = convolution.bias
        self.register_buffer("weight", convolution.weight.detach())
        self.register_buffer("bias", None if bias is None else bias.detach())
        self.limits = limits
        self._padding = [int(n) for n in convolution.padding]
        self._shape = (list(convolution.stride), list(convolution.dilation), convolution.groups)
        if limits is None:
            self._activation: tuple[str, list[float]] = ("none", [])
        else:
            low, high = limits
            self._activation = ("relu", []) if high is None else ("hardtanh", [low, high])
        self._packed: torch.Tensor | None = None
        self._packed_back: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the activation for ``x`` (n, c, h, w)."""
        y: torch.Tensor = _Convolve.apply(x, self)
        return y

    def convolve(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve and clip; the size of the first images determines the layout of the weights."""
        if self._packed is None:
            self._packed = _onednn._reorder_convolution_weight(
                self.weight, self._padding, *self._shape, list(x.shape)
            )
        y: torch.Tensor = _onednn._convolution_pointwise(
            x, self._packed, self.bias, self._padding, *self._shape, *self._activation, ""
        )
        return y

    def clip_back(self, gradient: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the gradient before clipping, from the gradient after it."""
        assert self.limits is not None
        low, high = self.limits
        if high is None:
            return torch.ops.aten.threshold_backward(gradient, y, low)
        return torch.ops.aten.hardtanh_backward(gradient, y, low, high)

    def convolve_back(self, gradient: torch.Tensor, size: torch.Size) -> torch.Tensor:
        """Return the gradient at the input, of shape ``size``, from that at the output."""
        stride, dilation, groups = self._shape
        more = [
            size[2 + d]
            - (gradient.shape[2 + d] - 1) * stride[d]
            + 2 * self._padding[d]
            - dilation[d] * (self.weight.shape[2 + d] - 1)
            - 1
            for d in (0, 1)
        ]
        if self._packed_back is None:
            self._packed_back = _onednn._reorder_convolution_transpose_weight(
                self.weight, self._padding, more, stride, dilation, groups, list(gradient.shape)
            )
        x: torch.Tensor = _onednn._convolution_transpose_pointwise(
            gradient,
            self._packed_back,
            None,
            self._padding,
            more,
            stride,
            dilation,
            groups,
            "none",
            [],
            "",
        )
        return x


class _Convolve(torch.autograd.Function):
    """The autograd function of ``PackedConvolution``: a gradient for the input only."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, module: PackedConvolution) -> torch.Tensor:
        y = module.convolve(x)
        ctx.module, ctx.size = module, x.shape
        if module.limits is not None:
            ctx.save_for_backward(y)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        if ctx.module.limits is not None:
            gradient = ctx.module.clip_back(gradient, *ctx.saved_tensors)
        return ctx.module.convolve_back(gradient, ctx.size), None


def pack(network: GraphModule) -> None:
    """Replace a network's convolutions, and the ReLUs that follow them, by packed ones."""
    modules = dict(network.named_modules())
    calls = Counter(node.target for node in network.graph.nodes)
    for node in list(network.graph.nodes):
        place = _convolution_of(node, modules)
        if place is None or calls[node.target] > 1:
            continue
        limits = None
        if len(node.users) == 1:
            (activation,) = node.users
            limits = _limits_of(activation, modules)
            if limits is not None:
                activation.replace_all_uses_with(node)
                network.graph.erase_node(activation)
        network.set_submodule(place, PackedConvolution(modules[place], limits))
    network.recompile()


def _convolution_of(node: Node, modules: dict[str, nn.Module]) -> str | None:
    """The name of a node's convolution, which a padding may precede; ``None`` for other nodes."""
    if node.op != "call_module":
        return None
    place, module = str(node.target), modules[str(node.target)]
    if isinstance(module, nn.Sequential) and len(module):
        place, module = f"{place}.{len(module) - 1}", module[-1]
    plain = type(module) is nn.Conv2d and module.padding_mode == "zeros"
    fits = plain and not isinstance(module.padding, str) and module.weight.dtype == torch.float32
    return place if fits else None


def _limits_of(node: Node, modules: dict[str, nn.Module]) -> Limits | None:
    if node.op != "call_module":
        return None
    module = modules[str(node.target)]
    if isinstance(module, nn.Hardtanh):  # ReLU6 is one
        return float(module.min_val), float(module.max_val)
    return (0.0, None) if isinstance(module, nn.ReLU) else None
