"""Speed up convolutions with frozen weights, for passes that need only the image's gradient.

Frozen weights allow three savings over torch's own convolution: their layout is prepared once
instead of at every call, the activation after a convolution is fused with it, and the input is
not kept. The oneDNN operators used here are those that torch itself compiles networks to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.fx import GraphModule, Node

from rsparse.models.torch.operators.layers import conv
from rsparse.models.torch.operators.pointwise import clip
from rsparse.models.torch.operators.shapes import pad
from rsparse.models.torch.operators.windows import find_window

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
    weight : Tensor of shape (channels, input channels / groups, h, w)
    bias : Tensor of shape (channels,) or None
    padding : (int, int)
        Zeros before and after each row and column.
    stride, dilation : (int, int)
    groups : int
    limits : (float, float), (float, None) or None
        The range that results are clipped to; ``None`` does not clip.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
        *,
        padding: Sequence[int] = (0, 0),
        stride: Sequence[int] = (1, 1),
        dilation: Sequence[int] = (1, 1),
        groups: int = 1,
        limits: Limits | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach())
        self.register_buffer("bias", None if bias is None else bias.detach())
        self.limits = limits
        self._padding = list(padding)
        self._shape = (list(stride), list(dilation), groups)
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
    for number, node in enumerate(list(network.graph.nodes)):
        tensors = _frozen(node, network)
        if tensors is None:
            continue
        weight, bias = tensors
        limits = None
        if len(node.users) == 1:
            (activation,) = node.users
            limits = _limits_of(activation)
            if limits is not None:
                activation.replace_all_uses_with(node)
                network.graph.erase_node(activation)
        _replace(network, node, f"packed_{number}", weight, bias, limits)
    network.recompile()


def _frozen(node: Node, network: GraphModule) -> tuple[torch.Tensor, torch.Tensor | None] | None:
    """The stored weights and bias of a node that is a convolution of images; otherwise ``None``."""
    if node.target is not conv or node.kwargs.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return None
    given = [one for one in node.args[1:] if one is not None]
    if not all(isinstance(one, Node) and one.op == "get_attr" for one in given):
        return None
    tensors = [getattr(network, str(one.target)) for one in given if isinstance(one, Node)]
    if tensors[0].dim() != 4 or tensors[0].dtype != torch.float32:
        return None
    return tensors[0], tensors[1] if len(tensors) > 1 else None


def _replace(
    network: GraphModule,
    node: Node,
    name: str,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    limits: Limits | None,
) -> None:
    """Replace a node by a packed convolution, after a padding if its sides differ."""
    options: dict[str, Any] = {
        key: node.kwargs.get(key) for key in ("strides", "dilations", "pads")
    }
    window = find_window((), weight.shape[2:], auto_pad="NOTSET", **options)
    x, groups = node.args[0], int(str(node.kwargs.get("group", 1)))
    with network.graph.inserting_before(node):
        if not window.is_symmetric:
            sides = (0, 0, *window.before, 0, 0, *window.after)
            x = network.graph.call_function(pad, (x, sides))
        packed = PackedConvolution(
            weight,
            bias,
            padding=window.before if window.is_symmetric else (0, 0),
            stride=window.strides,
            dilation=window.dilations,
            groups=groups,
            limits=limits,
        )
        network.add_module(name, packed)
        call = network.graph.call_module(name, (x,))
    call.meta.update(node.meta)
    node.replace_all_uses_with(call)
    network.graph.erase_node(node)


def _limits_of(node: Node) -> Limits | None:
    """The range of a ReLU, or of a clipping that torch has as one operator."""
    if node.target is torch.relu:
        return 0.0, None
    if node.target is not clip:
        return None
    _, *ends = (*node.args, None, None)
    low, high = ends[0], ends[1]
    if (low, high) == (0, None) or (low, high) == (0, 6):
        return 0.0, high
    return None
