"""Operators with weights: convolutions, matrix products, normalisations, attention."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from rsparse.models.torch.operators.registry import Tensor, operator, register_torch
from rsparse.models.torch.operators.windows import Sizes, find_window

_CONVOLVE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_SPREAD = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}

_ONEDNN_BLOCK = 16  # channels that its kernels take together, at most

register_torch({"MatMul": torch.matmul}, "a", "b")


@operator("Conv", ignores=["kernel_shape"])
def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sizes | None = None,
    group: int = 1,
    pads: Sizes | None = None,
    strides: Sizes | None = None,
) -> Tensor:
    """A convolution; its kernel's shape is the weights'."""
    window = find_window(
        x.shape[2:], weight.shape[2:], strides=strides, dilations=dilations, pads=pads,
        auto_pad=auto_pad,
    )  # fmt: skip
    padding = window.before if window.is_symmetric else (0,) * len(window.kernel)
    x, steps = x if window.is_symmetric else window.padded(x), window.strides
    if max(window.kernel) == 1 and not any(padding) and weight.shape[1] < _ONEDNN_BLOCK:
        # oneDNN's gradient of these weights writes past its memory if there are strides:
        # https://github.com/uxlfoundation/oneDNN/issues/6035
        x = x[tuple([slice(None)] * 2 + [slice(None, None, step) for step in steps])]
        steps = (1,) * len(steps)
    result: Tensor = _CONVOLVE[len(window.kernel)](
        x, weight, bias, steps, padding, window.dilations, group
    )
    return result


@operator("ConvTranspose", ignores=["kernel_shape"])
def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sizes | None = None,
    group: int = 1,
    output_padding: Sizes | None = None,
    output_shape: Sizes | None = None,
    pads: Sizes | None = None,
    strides: Sizes | None = None,
) -> Tensor:
    """A transposed convolution: everything is computed, then cropped to the wanted shape."""
    rank = weight.dim() - 2
    steps, more = list(strides or [1] * rank), list(output_padding or [0] * rank)
    gaps = tuple(dilations or [1] * rank)
    y: Tensor = _SPREAD[rank](x, weight, None, tuple(steps), 0, 0, group, gaps)
    whole = [size + extra for size, extra in zip(y.shape[2:], more, strict=True)]
    before, after = list(pads or [0] * 2 * rank)[:rank], list(pads or [0] * 2 * rank)[rank:]
    wanted = None if output_shape is None else list(output_shape)[-rank:]
    if wanted is None and auto_pad.startswith("SAME"):
        wanted = [size * step for size, step in zip(x.shape[2:], steps, strict=True)]
    if wanted is not None:
        totals = [size - target for size, target in zip(whole, wanted, strict=True)]
        smaller, larger = [n // 2 for n in totals], [n - n // 2 for n in totals]
        first = auto_pad == "SAME_UPPER"
        before, after = (smaller, larger) if first else (larger, smaller)
    sides = [n for b, a, m in zip(before, after, more, strict=True) for n in (m - a, -b)][::-1]
    y = functional.pad(y, sides)
    return y if bias is None else y + bias.reshape(-1, *[1] * rank)


@operator("Gemm")
def gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
) -> Tensor:
    """``alpha · a b + beta · c``, with either matrix transposed."""
    a, weight = a.T if transA else a, b if transB else b.T
    weight = weight if alpha == 1 else weight * alpha
    bias = c if c is None or beta == 1 else c * beta
    if bias is None or bias.shape == weight.shape[:1]:
        return functional.linear(a, weight, bias)
    return functional.linear(a, weight) + bias


@operator("Einsum")
def einsum(*xs: Tensor, equation: str) -> Tensor:
    """Sums of products, as the equation says."""
    return torch.einsum(equation, *xs)


@operator("BatchNormalization")
class BatchNormalization(nn.Module):
    """Normalises by stored statistics; in training, by the batch's, which it records.

    A module, since its mode can be changed. Before operator set 9 it may have statistics for each
    pixel instead of each channel (``spatial`` 0). With ``training_mode``, by which some networks
    standardise weights, it never uses stored statistics.
    """

    def __init__(
        self,
        *,
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        spatial: int = 1,
        training_mode: int = 0,
    ) -> None:
        super().__init__()
        self.epsilon, self.momentum, self.spatial = epsilon, 1 - momentum, spatial
        self.training_mode = training_mode
        self.training = False

    def forward(
        self, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
    ) -> Tensor:
        """Return normalised features."""
        if self.training_mode:
            return functional.batch_norm(x, None, None, scale, bias, True, 0.0, self.epsilon)
        if not self.spatial:
            return (x - mean) / torch.sqrt(variance + self.epsilon) * scale + bias
        statistics = mean.detach(), variance.detach()  # also where the file has one zero for all
        return functional.batch_norm(
            x, *statistics, scale, bias, self.training, self.momentum, self.epsilon
        )


@operator("InstanceNormalization")
def instance_normalization(
    x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5
) -> Tensor:
    """Normalise each channel of each image."""
    return functional.instance_norm(x, weight=scale, bias=bias, eps=epsilon)


@operator("LayerNormalization", ignores=["stash_type"])
def layer_normalization(
    x: Tensor,
    scale: Tensor,
    bias: Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
) -> Tensor:
    """Normalise over the axes from ``axis`` on."""
    sizes = x.shape[axis:]
    shift = None if bias is None else bias.expand(sizes)
    return functional.layer_norm(x, sizes, scale.expand(sizes), shift, epsilon)


@operator("RMSNormalization", ignores=["stash_type"])
def rms_normalization(x: Tensor, scale: Tensor, *, axis: int = -1, epsilon: float = 1e-5) -> Tensor:
    """Divide by the root of the mean square over the axes from ``axis`` on."""
    sizes = x.shape[axis:]
    return functional.rms_norm(x, sizes, scale.expand(sizes), epsilon)


@operator("GroupNormalization", ignores=["stash_type"])
def group_normalization(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    *,
    num_groups: int,
    epsilon: float = 1e-5,
) -> Tensor:
    """Normalise groups of channels; operator set 18 has a scale for each group."""
    times = x.shape[1] // len(scale)
    if times > 1:
        scale, bias = scale.repeat_interleave(times), bias.repeat_interleave(times)
    return functional.group_norm(x, num_groups, scale, bias, epsilon)


@operator("LRN")
def local_response_normalization(
    x: Tensor, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Tensor:
    """Divide by a power of the mean square over neighbouring channels."""
    if size % 2:
        return functional.local_response_norm(x, size, alpha, beta, bias)
    mirrored = functional.local_response_norm(x.flip(1), size, alpha, beta, bias)
    return mirrored.flip(1)  # of an even number, torch takes one more before, ONNX one more after


@operator("Attention", ignores=["softmax_precision"])
def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    q_num_heads: int | None = None,
    scale: float | None = None,
    softcap: float = 0.0,
) -> Tensor:
    """Scaled dot-product attention of heads, each given as an axis or joined in the last one."""
    joined = q.dim() == 3
    if joined:
        assert q_num_heads is not None
        assert kv_num_heads is not None
        q = q.unflatten(-1, (q_num_heads, -1)).transpose(1, 2)
        k, v = (x.unflatten(-1, (kv_num_heads, -1)).transpose(1, 2) for x in (k, v))
    before = 0 if past_key is None else past_key.shape[2]
    if past_key is not None and past_value is not None:
        k, v = torch.cat([past_key, k], 2), torch.cat([past_value, v], 2)
    shared = q.shape[1] // k.shape[1]
    if shared > 1:
        k, v = k.repeat_interleave(shared, 1), v.repeat_interleave(shared, 1)
    factor = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    scores = q * math.sqrt(factor) @ (k * math.sqrt(factor)).transpose(-1, -2)
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    allowed = _causal(scores, before) if is_causal else None
    if mask is not None and mask.dtype == torch.bool:
        allowed = mask if allowed is None else mask & allowed
    elif mask is not None:
        scores = scores + mask
    if allowed is not None:
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    weights = torch.softmax(scores, -1)
    if allowed is not None:  # a query that may see no key sees nothing
        weights = weights.masked_fill(~allowed.any(-1, keepdim=True), 0)
    y = weights @ v
    return y.transpose(1, 2).flatten(2) if joined else y


def _causal(scores: Tensor, before: int) -> Tensor:
    """True where a key is not later than the query."""
    return torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril(before)
