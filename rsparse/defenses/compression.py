"""Define defenses that store an image in fewer bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rsparse.defenses.defense import Defense, Resources
from rsparse.options.fields import parameter
from rsparse.work.device import CPU, Device

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels


class _JpegCodec:
    """Records the library that compresses."""

    def codecs(self, device: Device = CPU) -> dict[str, str]:  # noqa: ARG002 - runs on the CPU
        """See ``Defense.codecs``."""
        from rsparse.core.compression import jpeg_codec

        return jpeg_codec()


@dataclass(frozen=True)
class Jpeg(_JpegCodec, Defense):
    """Compression to JPEG and back.

    References
    ----------
    Guo, Rana, Cissé, van der Maaten (2018), "Countering adversarial images using input
    transformations": 75. Das et al. (2018), SHIELD: 80.
    """

    name: ClassVar[str] = "jpeg"
    strengths: ClassVar[tuple[str, ...]] = ("quality",)

    quality: int = parameter(75, "libjpeg's quality; lower removes more.", minimum=1, maximum=100)

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:  # noqa: ARG002
        from rsparse.core.compression import jpeg

        return jpeg(image, self.quality)


@dataclass(frozen=True)
class LocalQuantization(_JpegCodec, Defense):
    """Compression of each 8×8 block at one of four random JPEG qualities: SHIELD's SLQ.

    References
    ----------
    Das et al. (2018), "SHIELD: Fast, practical defense and vaccination for deep learning using
    JPEG compression": stochastic local quantization at qualities 20, 40, 60 and 80.
    """

    name: ClassVar[str] = "slq"
    QUALITIES: ClassVar[tuple[int, ...]] = (20, 40, 60, 80)

    block: int = parameter(8, "Side of the blocks in pixels.", minimum=1, maximum=256)

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:  # noqa: ARG002
        from rsparse.core.compression import local_quantization

        return local_quantization(image, self.QUALITIES, self.block, resources.random(image))

    @property
    def is_random(self) -> bool:
        return True


@dataclass(frozen=True)
class BitDepth(Defense):
    """Fewer bits per colour.

    References
    ----------
    Xu, Evans, Qi (2018), "Feature squeezing": 5 bits on ImageNet. Guo et al. (2018): 3 bits.
    """

    name: ClassVar[str] = "bit-depth"
    strengths: ClassVar[tuple[str, ...]] = ("bits",)

    bits: int = parameter(5, "Bits to keep of each colour.", minimum=1, maximum=8)

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:  # noqa: ARG002
        from rsparse.core.compression import reduce_bits

        return reduce_bits(image, self.bits)
