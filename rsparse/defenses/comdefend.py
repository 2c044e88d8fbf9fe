"""Define ComDefend: networks that compress an image to a few bits and reconstruct it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rsparse.defenses.applied import Applied, Cleaned
from rsparse.defenses.cleaner import Cleaner, clean_isolating_errors
from rsparse.defenses.defense import Defense, Resources
from rsparse.work.device import CPU, Device

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels
    from rsparse.errors import InputError


@dataclass(frozen=True)
class ComDefend(Defense):
    """Two networks that compress each pixel to 12 bits and reconstruct it: the paper's [13].

    The networks have the authors' architecture and loss. The authors' weights have no licence, so
    ours are trained by ``scripts/comdefend_model.py``. Noise is added to the code only in
    training. Here a bit is 1 if the compressor's output is positive.

    References
    ----------
    Jia, Wei, Cao, Foroosh (2019), "ComDefend: An efficient image compression model to defend
    adversarial examples".
    """

    name: ClassVar[str] = "comdefend"

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:  # noqa: ARG002
        from rsparse.data import comdefend_model
        from rsparse.models.autoencoder import load_autoencoder

        return load_autoencoder(comdefend_model()).restored(image[None])[0]

    def on(self, device: Device, resources: Resources) -> Cleaner:
        if not device.takes_images:
            return super().on(device, resources)
        return ComDefendCleaner(device, (Applied(self.spec),))

    @property
    def has_device_part(self) -> bool:
        return True

    def codecs(self, device: Device = CPU) -> dict[str, str]:
        """Return the runtime's version and the start of the weights' SHA-256."""
        from importlib.metadata import version

        from rsparse.data import comdefend_model
        from rsparse.store.files import sha256_of_file

        runtime = "torch" if device.takes_images else "onnxruntime"
        weights = sha256_of_file(comdefend_model())[:12]
        return {"comdefend.onnx": weights, runtime: version(runtime)}


@dataclass(frozen=True)
class ComDefendCleaner(Cleaner):
    """ComDefend in torch."""

    device: Device
    applied: tuple[Applied, ...]

    def prepare(self, image: Pixels, mask: Mask | None = None) -> Pixels:  # noqa: ARG002
        return image

    def finish(self, batch: Sequence[Pixels]) -> Sequence[Cleaned | InputError]:
        return clean_isolating_errors(self._restored, batch)

    def _restored(self, batch: Sequence[Pixels]) -> Sequence[Cleaned]:
        from rsparse.data import comdefend_model
        from rsparse.models.autoencoder import load_autoencoder

        restored = load_autoencoder(comdefend_model(), self.device.torch).restored_together(batch)
        return [Cleaned(pixels, self.applied) for pixels in restored]
