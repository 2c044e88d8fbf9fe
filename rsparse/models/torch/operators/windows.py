"""How a window moves over an image: kernel, strides, dilations, padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch.nn import functional

from rsparse.models.torch.operators.registry import Tensor

Sizes = Sequence[int]


@dataclass(frozen=True)
class Window:
    """A window's geometry; each field has one number for each spatial axis."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def is_symmetric(self) -> bool:
        """Whether as much is padded before as after."""
        return self.before == self.after

    @property
    def reach(self) -> tuple[int, ...]:
        """The size of the window, gaps included."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    def padded(self, x: Tensor, value: float = 0.0, more: Sizes | None = None) -> Tensor:
        """Pad the spatial axes; ``more`` is added after each."""
        after = self.after if more is None else [a + m for a, m in zip(self.after, more)]  # noqa: B905
        sides = [n for pair in reversed([*zip(self.before, after, strict=True)]) for n in pair]
        return functional.pad(x, sides, value=value) if any(sides) else x

    def missing(self, sizes: Sizes) -> list[int]:
        """How much the last window, if it begins inside, sticks out behind the padding."""
        found = []
        for size, reach, stride, before, after in zip(
            sizes, self.reach, self.strides, self.before, self.after, strict=True
        ):
            steps = -(-(size + before + after - reach) // stride)
            if steps * stride >= size + before:
                steps -= 1
            found.append(max(steps * stride + reach - size - before - after, 0))
        return found


def find_window(
    sizes: Sizes,
    kernel: Sizes,
    *,
    strides: Sizes | None,
    dilations: Sizes | None,
    pads: Sizes | None,
    auto_pad: str,
) -> Window:
    """The window over an image of some sizes; ``SAME`` pads so that strides alone shrink it."""
    rank = len(kernel)
    steps, gaps = tuple(strides or [1] * rank), tuple(dilations or [1] * rank)
    before = after = (0,) * rank
    if auto_pad in ("NOTSET", "") and pads:
        before, after = tuple(pads[:rank]), tuple(pads[rank:])
    elif auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        totals = [
            max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
            for size, k, s, d in zip(sizes, kernel, steps, gaps, strict=True)
        ]
        halves = tuple(n // 2 for n in totals)
        others = tuple(n - n // 2 for n in totals)
        before, after = (halves, others) if auto_pad == "SAME_UPPER" else (others, halves)
    return Window(tuple(kernel), steps, gaps, before, after)
