"""Classify noisy versions of an image on a device, in batches.

The noise is that of the CPU: it is drawn on the cores, while the device denoises and classifies.
So the counts are those of the CPU, but for samples so near a boundary between two classes that
rounding decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from rsparse.commands.certify.sampling import Block, CountClasses, Drawn
from rsparse.errors import InputError
from rsparse.models.placed import place
from rsparse.store.images import ImageFile
from rsparse.store.journal import Entry
from rsparse.work.device import Device
from rsparse.work.steps import ImageStep

if TYPE_CHECKING:
    import torch

TOGETHER = 50
"""Samples that a device works on at a time; on an NVIDIA GPU they take about 2 GB."""


class Counted(NamedTuple):
    """A block and the classes of its samples."""

    drawn: Drawn
    classes: list[int]


@dataclass(frozen=True)
class CountOnDevice(ImageStep[Drawn, Counted]):
    """``CountClasses`` on a device.

    Attributes
    ----------
    count : CountClasses
        It draws the samples; its denoiser runs on the device if it can, else on the CPU.
    on : Device
    """

    count: CountClasses
    on: Device

    @property
    def device(self) -> Device:
        return self.on

    def load(self, image: ImageFile) -> Drawn:
        """Draw the samples of a block; denoise them if the device cannot."""
        assert isinstance(image, Block)
        drawn = self.count.draw(image)
        if self.count.denoiser.has_device_part:
            return drawn._replace(samples=list(drawn.samples))
        return drawn._replace(samples=[self.count.denoise(image, x) for x in drawn.samples])

    def work(self, batch: Sequence[Drawn]) -> Sequence[Counted | InputError]:
        return [Counted(drawn, self._classes(drawn)) for drawn in batch]

    def save(self, output: Counted) -> Entry:
        return self.count.entry(output.drawn, output.classes)

    def _classes(self, drawn: Drawn) -> list[int]:
        from rsparse.core.engines.torch.smoothing import classes_of

        sigma, twin = self.count.sigmas[drawn.block.k], place(self.count.classifier, self.on).twin

        def network(x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = twin(self._denoise(x, sigma))
            return logits

        return classes_of(list(drawn.samples), network, self.on.torch, TOGETHER)

    @cached_property
    def _denoise(self) -> Callable[[torch.Tensor, float], torch.Tensor]:
        if self.count.denoiser.has_device_part:
            return self.count.denoiser.on(self.on.torch)
        return lambda x, _: x
