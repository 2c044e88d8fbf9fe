"""Classify noisy versions of an image, one block of samples at a time.

Each block is an item of the run's journal, so that an interrupted run continues at the block, and
the cores share the blocks of one image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

import numpy as np

from rsparse.core.smoothing import digest_of, noise_block
from rsparse.defenses import Resources
from rsparse.denoisers import Denoiser
from rsparse.models.onnx.classifier import Classifier
from rsparse.options.certify import BLOCK, CertifyParameters
from rsparse.store.images import ImageFile, to_unit
from rsparse.store.journal import Entry
from rsparse.work.runs import load_image

SELECTION, ESTIMATE = 0, 1
_TOGETHER = 10  # noisy images in memory
_BETWEEN = "\n"


@dataclass(frozen=True)
class Block(ImageFile):
    """A block of samples of an image; ``name`` is that of the block.

    Attributes
    ----------
    image : str
        The image's name.
    k : int
        Index of σ.
    phase, number : int
        Of the block.
    n : int
        Its samples.
    """

    image: str
    k: int
    phase: int
    number: int
    n: int


class Blocks(Sequence[Block]):
    """All blocks of images, of which none is kept in memory; those of an image come together."""

    def __init__(self, images: Sequence[ImageFile], parameters: CertifyParameters) -> None:
        self._images = images
        self._of_image = [
            (k, phase, (first + start) // BLOCK, min(BLOCK, n - start))
            for k in range(len(parameters.sigmas))
            for phase, first, n in (
                (SELECTION, 0, parameters.n0),
                (ESTIMATE, parameters.first, parameters.n),
            )
            for start in range(0, n, BLOCK)
        ]

    def __len__(self) -> int:
        return len(self._images) * len(self._of_image)

    @overload
    def __getitem__(self, place: int) -> Block: ...
    @overload
    def __getitem__(self, place: slice) -> list[Block]: ...
    def __getitem__(self, place: int | slice) -> Block | list[Block]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        if not 0 <= place < len(self):
            raise IndexError(place)
        number, rest = divmod(place, len(self._of_image))
        image, (k, phase, block, n) = self._images[number], self._of_image[rest]
        name = _BETWEEN.join([image.name, f"{k:04d}", f"{phase}{block:08d}"])
        given = (image.name, k, phase, block, n)
        return Block(name, image.path, image.root, *given, sha256=image.sha256)


def image_of(block_name: str) -> str:
    """The name of the image that a block belongs to."""
    return block_name.rsplit(_BETWEEN, 2)[0]  # a name may hold a line break itself


class Drawn(NamedTuple):
    """A block with its noisy samples, float32 arrays (h, w, 3), and the digest of its file."""

    block: Block
    sha256: str
    samples: Iterable[np.ndarray]


@dataclass(frozen=True)
class CountClasses:
    """Counts the classes that a block of noisy, denoised samples gets."""

    classifier: Classifier
    denoiser: Denoiser
    resources: Resources
    sigmas: tuple[float, ...]
    seed: int

    def __call__(self, block: ImageFile) -> Entry:
        assert isinstance(block, Block)
        drawn, found = self.draw(block), []
        for some in _batches(iter(drawn.samples)):
            clean = [self.denoise(block, each) for each in some]
            found += self.classifier.logits(clean).argmax(axis=1).tolist()
        return self.entry(drawn, found)

    def draw(self, block: Block) -> Drawn:
        """Read the image of a block, fit it to the classifier's input, and add the noise."""
        pixels, sha256 = load_image(block)
        fitted = self.classifier.fit_to_input(pixels)
        x, sigma = to_unit(fitted), np.float32(self.sigmas[block.k])
        given = (self.seed, digest_of(fitted), block.phase, block.number, block.n)
        return Drawn(block, sha256, (x + sigma * noise for noise in noise_block(*given, x.shape)))

    def denoise(self, block: Block, x: np.ndarray) -> np.ndarray:
        """Denoise a sample of a block."""
        return self.denoiser.denoise(x, float(np.float32(self.sigmas[block.k])), self.resources)

    def entry(self, drawn: Drawn, found: Sequence[int]) -> Entry:
        """The journal's entry of a block whose samples got these classes."""
        classes, counts = np.unique(found, return_counts=True)
        return {
            "name": drawn.block.name,
            "source_sha256": drawn.sha256,
            "image": drawn.block.image,
            "k": drawn.block.k,
            "phase": drawn.block.phase,
            "classes": classes.tolist(),
            "counts": counts.tolist(),
        }


def _batches(noisy: Iterator[np.ndarray]) -> Iterator[list[np.ndarray]]:
    some: list[np.ndarray] = []
    for each in noisy:
        some.append(each)
        if len(some) == _TOGETHER:
            yield some
            some = []
    if some:
        yield some


def add_up(entries: Iterable[Entry], names: Sequence[str]) -> dict[tuple[int, int], dict]:
    """Counts by class for each index of σ and image: of the selection, and of the estimate."""
    places = {name: number for number, name in enumerate(names)}
    sums: dict[tuple[int, int], dict[int, list[int]]] = {}
    for entry in entries:
        if entry["image"] in places:
            of_image = sums.setdefault((entry["k"], places[entry["image"]]), {})
            for index, count in zip(entry["classes"], entry["counts"], strict=True):
                of_image.setdefault(index, [0, 0])[entry["phase"]] += count
    return sums
