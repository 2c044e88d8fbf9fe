"""Operators that compute each element by itself: arithmetic, comparisons, activations, casts."""

from __future__ import annotations

from functools import reduce

import torch
from onnx import TensorProto
from torch.nn import functional

from rsparse.models.torch.operators.registry import (
    Number,
    Tensor,
    operator,
    register_torch,
    single,
)

register_torch(
    {
        "Abs": torch.abs,
        "Acos": torch.acos,
        "Acosh": torch.acosh,
        "Asin": torch.asin,
        "Asinh": torch.asinh,
        "Atan": torch.atan,
        "Atanh": torch.atanh,
        "BitwiseNot": torch.bitwise_not,
        "Ceil": torch.ceil,
        "Cos": torch.cos,
        "Cosh": torch.cosh,
        "Det": torch.det,
        "Erf": torch.erf,
        "Exp": torch.exp,
        "Floor": torch.floor,
        "HardSwish": functional.hardswish,
        "IsNaN": torch.isnan,
        "Log": torch.log,
        "Mish": functional.mish,
        "Neg": torch.neg,
        "Not": torch.logical_not,
        "Reciprocal": torch.reciprocal,
        "Relu": torch.relu,
        "Round": torch.round,
        "Sigmoid": torch.sigmoid,
        "Sign": torch.sign,
        "Sin": torch.sin,
        "Sinh": torch.sinh,
        "Softplus": functional.softplus,
        "Softsign": functional.softsign,
        "Sqrt": torch.sqrt,
        "Tan": torch.tan,
        "Tanh": torch.tanh,
    },
    "x",
)
register_torch(
    {
        "Add": torch.add,
        "And": torch.logical_and,
        "BitwiseAnd": torch.bitwise_and,
        "BitwiseOr": torch.bitwise_or,
        "BitwiseXor": torch.bitwise_xor,
        "Equal": torch.eq,
        "Greater": torch.gt,
        "GreaterOrEqual": torch.ge,
        "Less": torch.lt,
        "LessOrEqual": torch.le,
        "Mul": torch.mul,
        "Or": torch.logical_or,
        "Sub": torch.sub,
        "Xor": torch.logical_xor,
    },
    "a",
    "b",
)
register_torch({"Where": torch.where}, "condition", "a", "b")

_DTYPES: dict[int, torch.dtype] = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.BFLOAT16: torch.bfloat16,
    TensorProto.BOOL: torch.bool,
    TensorProto.INT8: torch.int8,
    TensorProto.INT16: torch.int16,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.UINT8: torch.uint8,
    TensorProto.UINT16: torch.uint16,
    TensorProto.UINT32: torch.uint32,
    TensorProto.UINT64: torch.uint64,
}


@operator("Identity")
def identity(x: Tensor) -> Tensor:
    """The input."""
    return x


@operator("Cast", ignores=["saturate", "round_mode"])  # both concern float8 only
def cast(x: Tensor, *, to: int) -> Tensor:
    """Numbers of another type."""
    if to not in _DTYPES:
        raise NotImplementedError(f"numbers of type {TensorProto.DataType.Name(to).lower()}")
    return x.to(_DTYPES[to])


@operator("CastLike", ignores=["saturate", "round_mode"])
def cast_like(x: Tensor, like: Tensor) -> Tensor:
    """``x`` in the type of ``like``."""
    return x.to(like.dtype)


@operator("Div")
def div(a: Tensor, b: Tensor) -> Tensor:
    """Integers are divided towards 0."""
    if a.is_floating_point():
        return torch.div(a, b)
    return torch.div(a, b, rounding_mode="trunc")


@operator("Mod")
def mod(a: Tensor, b: Tensor, *, fmod: int = 0) -> Tensor:
    """The sign is the divisor's, or the dividend's if ``fmod`` is set."""
    return torch.fmod(a, b) if fmod else torch.remainder(a, b)


@operator("Pow")
def power(x: Tensor, exponent: Tensor) -> Tensor:
    """The result has the type of the base."""
    return torch.pow(x, exponent).to(x.dtype)


@operator("BitShift")
def bit_shift(x: Tensor, by: Tensor, *, direction: str) -> Tensor:
    """Shift integers."""
    shift = torch.bitwise_left_shift if direction == "LEFT" else torch.bitwise_right_shift
    return shift(x, by)


@operator("Sum")
def total(*xs: Tensor) -> Tensor:
    """Sum of several tensors."""
    return reduce(torch.add, xs)


@operator("Mean")
def mean(*xs: Tensor) -> Tensor:
    """Mean of several tensors."""
    return reduce(torch.add, xs) / len(xs)


@operator("Max")
def maximum(*xs: Tensor) -> Tensor:
    """Maximum of several tensors."""
    return reduce(torch.maximum, xs)


@operator("Min")
def minimum(*xs: Tensor) -> Tensor:
    """Minimum of several tensors."""
    return reduce(torch.minimum, xs)


@operator("IsInf")
def is_infinite(x: Tensor, *, detect_negative: int = 1, detect_positive: int = 1) -> Tensor:
    """Whether a number is infinite, of the signs that are asked for."""
    positive = torch.isposinf(x) & bool(detect_positive)
    return positive | (torch.isneginf(x) & bool(detect_negative))


@operator("Clip")
def clip(x: Tensor, min: Number | None = None, max: Number | None = None) -> Tensor:
    """Clip to a range whose ends may be open."""
    if min == 0 and max is None:
        return torch.relu(x)
    if (min, max) == (0, 6):
        return functional.hardtanh(x, 0.0, 6.0)
    if isinstance(min, Tensor):
        x, min = torch.maximum(x, min), None
    if isinstance(max, Tensor):
        x, max = torch.minimum(x, max), None
    return x if min is None and max is None else torch.clamp(x, min, max)


@operator("PRelu")
def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """Negative numbers times a slope."""
    return torch.where(x >= 0, x, slope * x)


@operator("LeakyRelu")
def leaky_relu(x: Tensor, *, alpha: float = 0.01) -> Tensor:
    """Negative numbers times ``alpha``."""
    return functional.leaky_relu(x, alpha)


@operator("ThresholdedRelu")
def thresholded_relu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Numbers above ``alpha``; 0 elsewhere."""
    return functional.threshold(x, alpha, 0.0)


@operator("Elu")
def elu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Exponential linear unit."""
    return functional.elu(x, alpha)


@operator("Celu")
def celu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Continuously differentiable exponential linear unit."""
    return functional.celu(x, alpha)


@operator("Selu")
def selu(
    x: Tensor,
    *,
    alpha: float = 1.67326319217681884765625,
    gamma: float = 1.05070102214813232421875,
) -> Tensor:
    """Scaled exponential linear unit."""
    return gamma * functional.elu(x, alpha)


@operator("Gelu")
def gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    """Gaussian error linear unit."""
    return functional.gelu(x, approximate=approximate)


@operator("Swish")
def swish(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """``x · sigmoid(alpha · x)``."""
    return x * torch.sigmoid(alpha * x)


@operator("HardSigmoid")
def hard_sigmoid(x: Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    """``alpha · x + beta``, clipped to [0, 1]."""
    return torch.clip(x * alpha + beta, 0.0, 1.0)


@operator("Shrink")
def shrink(x: Tensor, *, bias: float = 0.0, lambd: float = 0.5) -> Tensor:
    """0 within ``lambd`` of 0; elsewhere nearer to 0 by ``bias``."""
    outside = torch.where(x < -lambd, x + bias, torch.where(x > lambd, x - bias, 0))
    return outside.to(x.dtype)


@operator("Dropout", ignores=["ratio", "seed"])
def dropout(x: Tensor, _ratio: Number | None = None, training: Number | None = None) -> Tensor:
    """The input: nothing is dropped outside training."""
    if training is not None and single(training):
        raise NotImplementedError("training mode")
    return x


@operator("DequantizeLinear")
def dequantize(
    x: Tensor, scale: Tensor, zero: Tensor | None = None, *, axis: int = 1, block_size: int = 0,
    output_dtype: int = 0,
) -> Tensor:  # fmt: skip
    """Real numbers of integers, with a scale for all, for each channel or for each block."""
    if block_size:
        scale = scale.repeat_interleave(block_size, axis).narrow(axis, 0, x.shape[axis])
        zero = None if zero is None else zero.repeat_interleave(block_size, axis)
        zero = None if zero is None else zero.narrow(axis, 0, x.shape[axis])
    elif scale.dim() == 1 and x.dim():
        shape = [-1 if place == axis % x.dim() else 1 for place in range(x.dim())]
        scale = scale.reshape(shape)
        zero = None if zero is None else zero.reshape(shape)
    centred = x.to(scale.dtype) if zero is None else x.to(scale.dtype) - zero.to(scale.dtype)
    return cast(centred * scale, to=output_dtype) if output_dtype else centred * scale
