"""The table of operators, and what their functions have in common."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

Tensor = torch.Tensor
Number = float | Tensor
Numbers = Sequence[float] | Tensor
Index = int | Tensor
Pair = tuple[float, torch.dtype]
Function = Callable[..., Any]

SUPPLIED = ("opset", "n_outputs")
"""Keyword parameters that are no attributes: the file's operator set, the node's outputs."""


@dataclass(frozen=True)
class Operator:
    """A function that computes an operator of ONNX, in every version from operator set 7 on.

    Its positional parameters are the operator's inputs. Their annotations say what becomes of an
    input that the graph stores: ``Tensor`` gets the stored tensor, ``Number`` and ``Numbers`` get
    Python numbers, ``Index`` gets an integer if it is a single one. Its keyword-only parameters
    are the attributes, and those in ``SUPPLIED``. An attribute named like an input fills that
    input, since newer versions take as inputs what older ones had as attributes. If the function
    is a class of modules, its constructor takes the keywords and ``forward`` the inputs.

    Attributes
    ----------
    function : callable
    inputs : tuple of (str, str)
        Name and kind of each input.
    variadic : bool
        Whether the last input may be repeated.
    keywords : frozenset of str
        The keyword-only parameters.
    ignored : frozenset of str
        Attributes that make no difference to the first output in torch.
    several : bool
        Whether it returns a tuple, one tensor for each output. Otherwise only the first output of
        a node can be used.
    """

    function: Function
    inputs: tuple[tuple[str, str], ...]
    variadic: bool = False
    keywords: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()
    several: bool = False

    @property
    def is_module(self) -> bool:
        """Whether the function is a class of modules."""
        return inspect.isclass(self.function)


OPERATORS: dict[str, Operator] = {}
"""Operators of ONNX by name."""


def operator(*names: str, ignores: Iterable[str] = ()) -> Callable[[Any], Any]:
    """Register a function, or a class of modules, as one or more operators."""

    def register(function: Any) -> Any:
        OPERATORS.update(dict.fromkeys(names, _described(function, frozenset(ignores))))
        return function

    return register


def register_torch(functions: dict[str, Function], *inputs: str) -> None:
    """Register functions of torch that take tensors and nothing else."""
    kinds = tuple((name, "Tensor") for name in inputs)
    OPERATORS.update({name: Operator(function, kinds) for name, function in functions.items()})


def _described(function: Any, ignored: frozenset[str]) -> Operator:
    forward: Any = getattr(function, "forward", function)  # of a class of modules
    signature = inspect.signature(forward)
    parameters = [p for p in signature.parameters.values() if p.name != "self"]
    keywords = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    if inspect.isclass(function):
        keywords = set(inspect.signature(function).parameters)
    return Operator(
        function,
        tuple(
            (p.name, str(p.annotation).partition(" | ")[0])
            for p in parameters
            if p.kind is not p.KEYWORD_ONLY
        ),
        any(p.kind is p.VAR_POSITIONAL for p in parameters),
        frozenset(keywords),
        ignored,
        str(signature.return_annotation).startswith("tuple"),
    )


def listed(numbers: Numbers) -> list[Any]:
    """Python numbers of a list that is stored or computed."""
    return numbers.reshape(-1).tolist() if isinstance(numbers, Tensor) else list(numbers)


def single(number: Number) -> Any:
    """The Python number of one that is stored or computed."""
    return number.item() if isinstance(number, Tensor) else number


def axes_of(axes: Numbers, rank: int) -> list[int]:
    """Axes from 0 up, in order."""
    return sorted(int(axis) % max(rank, 1) for axis in listed(axes))
