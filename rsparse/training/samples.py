"""What a network is shown: images of a split, in an order, in one of their versions, augmented.

Every draw follows from the seed, the epoch and the image's name alone, so an interrupted training
goes on with the numbers that an uninterrupted one would have drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from rsparse.errors import InputError
from rsparse.models.onnx.classifier import Classifier
from rsparse.options.train import TrainParameters
from rsparse.store.files import sha256_of
from rsparse.store.images import ImageFile, Pixels, decode_image

CLEAN = "clean"
_SPLIT, _ORDER, _DRAW = range(3)
_ASPECTS = (3 / 4, 4 / 3)


@dataclass(frozen=True)
class Sample:
    """An image: its files by version, their digests, and its label where there is one.

    A version without a file is adversarial: it is made of the clean one when it is shown.
    """

    name: str
    files: Mapping[str, ImageFile]
    digests: Mapping[str, str]
    label: int

    def stored(self, version: str) -> str:
        """The version whose file is read."""
        return version if version in self.files else CLEAN

    def load(self, version: str) -> Pixels:
        """The pixels of a version, (h, w, 3) uint8.

        Raises
        ------
        InputError
            If the file has changed since the training began.
        """
        image = self.files[version]
        content = image.read()
        if sha256_of(content) != self.digests[version]:
            raise InputError(f"{image.path}: changed during the run")
        return decode_image(content, image.path)


@dataclass(frozen=True)
class Box:
    """The part of an image that is shown, in shares of its height and width."""

    top: float = 0.0
    left: float = 0.0
    height: float = 1.0
    width: float = 1.0

    def cut(self, image: Pixels) -> Pixels:
        """The part of an image, at least one pixel."""
        rows, columns = image.shape[:2]
        top, left = int(self.top * rows), int(self.left * columns)
        bottom = max(top + 1, round((self.top + self.height) * rows))
        right = max(left + 1, round((self.left + self.width) * columns))
        return image[top:bottom, left:right]


@dataclass(frozen=True)
class Showing:
    """How one image is shown: in which version, which part of it, mirrored, and how attacked.

    ``eps`` is the attack's, in grey levels; 0 attacks nothing. ``share`` is how much of what is
    shown it makes up, the rest being its neighbour in the shard.
    """

    sample: Sample
    version: str
    box: Box = Box()
    mirrored: bool = False
    eps: float = 0.0
    share: float = 1.0


@dataclass(frozen=True)
class Shard:
    """Images that are computed together.

    Attributes
    ----------
    images : uint8 array of shape (n, h, w, 3)
        As the network sees them, before any attack.
    clean : uint8 array of shape (n, h, w, 3)
        The clean versions in the same parts, of which a teacher tells the targets.
    versions : tuple of str
        What each image is shown as; those that are adversarial still have to be attacked.
    labels : int64 array of shape (n,)
    eps : float32 array of shape (n,), in grey levels
    shares : float32 array of shape (n,), in [0.5, 1]
        How much of ``images`` and ``clean`` is each image itself; the rest is the one before it,
        the last one before the first.
    """

    images: Pixels
    clean: Pixels
    versions: tuple[str, ...]
    labels: NDArray[np.int64]
    eps: NDArray[np.float32]
    shares: NDArray[np.float32]


def split(
    samples: Sequence[Sample], parameters: TrainParameters
) -> tuple[list[Sample], list[Sample]]:
    """The samples to train on and those to validate on, at least one of each.

    Which part an image belongs to depends on its name and the seed, and little on the others.

    Raises
    ------
    InputError
        If there is but one image.
    """
    if len(samples) < 2:
        raise InputError("training needs at least 2 images, one of them to validate on")
    key = {s.name: sha256_of(f"{parameters.seed} {_SPLIT} {s.name}".encode()) for s in samples}
    kept = min(max(1, round(parameters.validation * len(samples))), len(samples) - 1)
    held = set(sorted(key, key=lambda name: key[name])[:kept])
    ordered = sorted(samples, key=lambda sample: sample.name)
    return [s for s in ordered if s.name not in held], [s for s in ordered if s.name in held]


def epoch_order(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of an epoch, a permutation of (n,)."""
    return np.random.default_rng([seed, _ORDER, epoch]).permutation(n)


def shares_of(
    purified: Sequence[str], adversarial: Sequence[str], parameters: TrainParameters
) -> dict[str, float]:
    """How much of what is trained on each version makes up, and so counts in validation.

    The clean version comes first; purified ones are alike, and so are adversarial ones.

    Examples
    --------
    >>> shares_of(["jpeg", "median"], [], TrainParameters(clean_share=0.5))
    {'clean': 0.5, 'jpeg': 0.25, 'median': 0.25}
    """
    kinds = [names for names in (purified, adversarial) if names]
    if not kinds:
        return {CLEAN: 1.0}
    others = 1 - parameters.clean_share
    attacked = parameters.adversarial_share
    if len(kinds) == 1 or attacked is None:
        parts = [others * len(names) / len([*purified, *adversarial]) for names in kinds]
    else:
        parts = [others * (1 - attacked), others * attacked]
    shares = {CLEAN: parameters.clean_share}
    for names, part in zip(kinds, parts, strict=True):
        shares.update(dict.fromkeys(names, part / len(names)))
    return shares


def draw(
    sample: Sample,
    purified: Sequence[str],
    adversarial: Sequence[str],
    parameters: TrainParameters,
    epoch: int,
) -> Showing:
    """How a sample is shown in an epoch.

    Parameters
    ----------
    sample : Sample
    purified, adversarial : sequence of str
        The versions that are shown beside the clean one, as often as the parameters say.
    parameters : TrainParameters
    epoch : int
    """
    rng = np.random.default_rng([parameters.seed, _DRAW, epoch, crc32(sample.name.encode())])
    version = _draw_version(rng, purified, adversarial, parameters)
    box = draw_box(rng, parameters.crop)
    mirrored = parameters.flip and bool(rng.random() < 0.5)
    is_stored = version in sample.files
    eps = 0.0 if is_stored else float(rng.uniform(0, parameters.eps))
    share = rng.beta(parameters.mixup, parameters.mixup) if parameters.mixup else 1.0
    return Showing(sample, version, box, mirrored, eps, float(max(share, 1 - share)))


def _draw_version(
    rng: np.random.Generator,
    purified: Sequence[str],
    adversarial: Sequence[str],
    parameters: TrainParameters,
) -> str:
    others, attacked = [*purified, *adversarial], parameters.adversarial_share
    if not others or rng.random() < parameters.clean_share:
        return CLEAN
    if purified and adversarial and attacked is not None:
        others = [*adversarial] if rng.random() < attacked else [*purified]
    return others[int(rng.integers(len(others)))]


def draw_box(rng: np.random.Generator, smallest: float) -> Box:
    """A part of ``smallest`` to all of an image's area, at most 4:3 off its own shape."""
    if smallest == 1:
        return Box()
    area = rng.uniform(smallest, 1)
    aspect = np.exp(rng.uniform(*np.log(_ASPECTS)))
    height, width = min(1.0, np.sqrt(area / aspect)), min(1.0, np.sqrt(area * aspect))
    top, left = rng.uniform(0, 1 - height), rng.uniform(0, 1 - width)
    return Box(float(top), float(left), float(height), float(width))


def load_shard(showings: Iterable[Showing], classifier: Classifier, needs_clean: bool) -> Shard:
    """Read, cut, fit, mirror and blend the images of some showings.

    An image is fitted to the network's input as ``Classifier`` does it, rounded to 8 bits. What a
    teacher is asked about is blended just as what is shown.
    """
    shown = list(showings)
    images = [_view(one, one.version, classifier) for one in shown]
    clean = images
    if needs_clean:
        clean = [
            image if one.sample.stored(one.version) == CLEAN else _view(one, CLEAN, classifier)
            for one, image in zip(shown, images, strict=True)
        ]
    shares = np.array([one.share for one in shown], np.float32)
    return Shard(
        _blended(np.stack(images), shares),
        _blended(np.stack(clean), shares),
        tuple(one.version for one in shown),
        np.array([one.sample.label for one in shown], np.int64),
        np.array([one.eps for one in shown], np.float32),
        shares,
    )


def _blended(images: Pixels, shares: NDArray[np.float32]) -> Pixels:
    """Each image with what is not its share taken from the one before it."""
    if (shares == 1).all():
        return images
    weights = shares[:, None, None, None]
    mixed = weights * images + (1 - weights) * np.roll(images, 1, axis=0)
    return np.rint(mixed).astype(np.uint8)


def _view(showing: Showing, version: str, classifier: Classifier) -> Pixels:
    part = showing.box.cut(showing.sample.load(showing.sample.stored(version)))
    fitted = classifier.fit_to_input(part)
    return fitted[:, ::-1] if showing.mirrored else fitted
