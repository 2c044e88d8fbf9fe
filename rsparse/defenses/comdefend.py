"""Define ComDefend: networks that compress an image to a few bits and reconstruct it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from rsparse.defenses.applied import Applied, Cleaned
from rsparse.defenses.cleaner import Cleaner, clean_isolating_errors
from rsparse.defenses.defense import Defense, Resources
from rsparse.options.fields import parameter
from rsparse.work.device import CPU, Device

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels
    from rsparse.errors import InputError
    from rsparse.models.autoencoder import CodeNoise


@dataclass(frozen=True)
class ComDefend(Defense):
    """Two networks that compress each pixel to 12 bits and reconstruct it: the paper's [13].

    The networks have the authors' architecture and loss. The authors' weights have no licence, so
    ours are trained by ``scripts/comdefend_model.py``, with noise of deviation 20 on the code. A
    bit is 1 if the compressor's output is above noise from N(0, ``noise``²), drawn from the seed
    and the image. The authors' code draws N(0, 1) when it cleans images, too; 0 draws nothing.

    References
    ----------
    Jia, Wei, Cao, Foroosh (2019), "ComDefend: An efficient image compression model to defend
    adversarial examples".
    """

    name: ClassVar[str] = "comdefend"

    noise: float = parameter(
        1.0, "Standard deviation of the Gaussian noise on the code.", minimum=0, maximum=1000
    )

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:  # noqa: ARG002
        from rsparse.data import comdefend_model
        from rsparse.models.autoencoder import load_autoencoder

        noise = self.drawn(image, resources)
        return load_autoencoder(comdefend_model()).restored(image[None], [noise])[0]

    def drawn(self, image: Pixels, resources: Resources) -> CodeNoise:
        """Return the noise for an image."""
        from rsparse.models.autoencoder import NO_NOISE, CodeNoise

        if not self.noise:
            return NO_NOISE
        return CodeNoise(self.noise, int(resources.random(image).integers(2**63)))

    def on(self, device: Device, resources: Resources) -> Cleaner:
        if not device.takes_images:
            return super().on(device, resources)
        return ComDefendCleaner(self, resources, device)

    @property
    def has_device_part(self) -> bool:
        return True

    @property
    def is_random(self) -> bool:
        return self.noise > 0

    def codecs(self, device: Device = CPU) -> dict[str, str]:
        """Return the runtime's version and the start of the weights' SHA-256."""
        from importlib.metadata import version

        from rsparse.data import comdefend_model
        from rsparse.store.files import sha256_of_file

        runtime = "torch" if device.takes_images else "onnxruntime"
        weights = sha256_of_file(comdefend_model())[:12]
        return {"comdefend.onnx": weights, runtime: version(runtime)}


class NoisyImage(NamedTuple):
    """An image and the noise for its code."""

    image: Pixels
    noise: CodeNoise


@dataclass(frozen=True)
class ComDefendCleaner(Cleaner):
    """ComDefend in torch."""

    defense: ComDefend
    resources: Resources
    device: Device

    def prepare(self, image: Pixels, mask: Mask | None = None) -> NoisyImage:  # noqa: ARG002
        return NoisyImage(image, self.defense.drawn(image, self.resources))

    def finish(self, batch: Sequence[NoisyImage]) -> Sequence[Cleaned | InputError]:
        return clean_isolating_errors(self._restored, batch)

    def _restored(self, batch: Sequence[NoisyImage]) -> Sequence[Cleaned]:
        from rsparse.data import comdefend_model
        from rsparse.models.autoencoder import load_autoencoder

        networks = load_autoencoder(comdefend_model(), self.device.torch)
        images, noises = zip(*batch, strict=True)
        applied = (Applied(self.defense.spec),)
        return [Cleaned(pixels, applied) for pixels in networks.restored_together(images, noises)]
