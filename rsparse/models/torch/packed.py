"""Convolutions whose weights stay as they are, for passes that want the image's gradient only.

What torch's own convolution does for weights that may change is left out: their layout is prepared
once, not at every call, the activation behind a convolution is computed with it, and its input is
not kept. oneDNN's operators for that are what torch itself compiles networks to.
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

Limits = tuple[float, float | None]  # what an activation is clipped to; without the second, ReLU


def can_pack() -> bool:
    """Whether this torch has oneDNN, and its operators for weights that do not change."""
    return torch.backends.mkldnn.is_available() and all(
        hasattr(_onednn, name) for name in _OPERATORS
    )


class PackedConvolution(nn.Module):
    """A convolution, and perhaps the ReLU behind it, which does not learn.

    Parameters
    ----------
    convolution : Conv2d
        Padded by zeros.
    limits : (float, float), (float, None) or None
        What the results are clipped to; ``None`` clips nothing.
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
        """The activation of ``x`` (n, c, h, w)."""
        y: torch.Tensor = _Convolve.apply(x, self)
        return y

    def convolve(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve, and clip; the first images' size decides how the weights are laid out."""
        if self._packed is None:
            self._packed = _onednn._reorder_convolution_weight(
                self.weight, self._padding, *self._shape, list(x.shape)
            )
        y: torch.Tensor = _onednn._convolution_pointwise(
            x, self._packed, self.bias, self._padding, *self._shape, *self._activation, ""
        )
        return y

    def clip_back(self, gradient: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The gradient at the convolution's output, from the one behind its clipping."""
        assert self.limits is not None
        low, high = self.limits
        if high is None:
            return torch.ops.aten.threshold_backward(gradient, y, low)
        return torch.ops.aten.hardtanh_backward(gradient, y, low, high)

    def convolve_back(self, gradient: torch.Tensor, size: torch.Size) -> torch.Tensor:
        """The gradient at the input, of a ``size``, from the one at the output."""
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
    """A ``PackedConvolution`` with the gradient of its input."""

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
    """Exchange a network's convolutions, with the ReLUs that follow one, for packed ones."""
    modules = dict(network.named_modules())
    calls = Counter(node.target for node in network.graph.nodes)
    for node in list(network.graph.nodes):
        place = _convolution_of(node, modules)
        if place is None or calls[node.target] > 1:
            continue
        limits = None
        if len(node.users) == 1:
            (behind,) = node.users
            limits = _limits_of(behind, modules)
            if limits is not None:
                behind.replace_all_uses_with(node)
                network.graph.erase_node(behind)
        network.set_submodule(place, PackedConvolution(modules[place], limits))
    network.recompile()


def _convolution_of(node: Node, modules: dict[str, nn.Module]) -> str | None:
    """Where the convolution of a node lies, which may be padded before: its name."""
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
