"""Prepare the training images: split, order, choice of version, and augmentation.

Every random draw depends only on the seed, the epoch and the image's name, so an interrupted
training continues with the same draws as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from rsparse.errors import InputError
from rsparse.models.fit import Fit
from rsparse.models.onnx.classifier import Classifier
from rsparse.models.resize import fit_pixels
from rsparse.options.train import TrainParameters
from rsparse.store.files import sha256_of
from rsparse.store.images import ImageFile, Pixels, decode_image

CLEAN = "clean"
_SPLIT, _ORDER, _DRAW, _NOISE, _HELD_OUT = range(5)
_ASPECTS = (3 / 4, 4 / 3)


@dataclass(frozen=True)
class Sample:
    """An image: its files and their digests by version, and its label if there is one.

    A version without a file is made from the clean one during training: adversarial or noisy.
    """

    name: str
    files: Mapping[str, ImageFile]
    digests: Mapping[str, str]
    label: int

    def stored(self, version: str) -> str:
        """The version whose file is read for ``version``."""
        return version if version in self.files else CLEAN

    def load(self, version: str) -> Pixels:
        """Read the pixels of a version, (h, w, 3) uint8.

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
    """The crop of an image, as shares of its height and width."""

    top: float = 0.0
    left: float = 0.0
    height: float = 1.0
    width: float = 1.0

    def cut(self, image: Pixels) -> Pixels:
        """Crop an image; the result has at least one pixel."""
        rows, columns = image.shape[:2]
        top, left = int(self.top * rows), int(self.left * columns)
        bottom = max(top + 1, round((self.top + self.height) * rows))
        right = max(left + 1, round((self.left + self.width) * columns))
        return image[top:bottom, left:right]


@dataclass(frozen=True)
class View:
    """One augmented view of an image: its version, crop, mirroring and attack.

    ``eps`` is the strength of the attack in grey levels; 0 means no attack. ``share`` is the
    image's weight in the blend with its neighbour in the shard. ``seed`` is that of the noise in a
    noisy version.
    """

    sample: Sample
    version: str
    box: Box = Box()
    mirrored: bool = False
    eps: float = 0.0
    share: float = 1.0
    seed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Shard:
    """Images that are computed together.

    Attributes
    ----------
    images : uint8 array of shape (n, h, w, 3)
        The network's input, before any attack.
    clean : uint8 array of shape (n, h, w, 3)
        The same crops of the clean versions, from which a teacher computes the targets.
    versions : tuple of str
        The version of each image; adversarial ones still have to be attacked, and noisy ones to
        get their noise.
    labels : int64 array of shape (n,)
    eps : float32 array of shape (n,), in grey levels
    shares : float32 array of shape (n,), in [0.5, 1]
        The weight of each image itself in ``images`` and ``clean``. The rest is the image before
        it; the first image is blended with the last.
    seeds : tuple of tuple of int
        The seed of each image's noise.
    """

    images: Pixels
    clean: Pixels
    versions: tuple[str, ...]
    labels: NDArray[np.int64]
    eps: NDArray[np.float32]
    shares: NDArray[np.float32]
    seeds: tuple[tuple[int, ...], ...] = ()


def split(
    samples: Sequence[Sample], parameters: TrainParameters
) -> tuple[list[Sample], list[Sample]]:
    """Split samples into a training set and a validation set, each with at least one sample.

    Which set an image belongs to depends on its name and the seed, and hardly on the others.

    Raises
    ------
    InputError
        If there are fewer than two images.
    """
    if len(samples) < 2:
        raise InputError("training needs at least 2 images, one of them for validation")
    key = {s.name: sha256_of(f"{parameters.seed} {_SPLIT} {s.name}".encode()) for s in samples}
    kept = min(max(1, round(parameters.validation_share * len(samples))), len(samples) - 1)
    held = set(sorted(key, key=lambda name: key[name])[:kept])
    ordered = sorted(samples, key=lambda sample: sample.name)
    return [s for s in ordered if s.name not in held], [s for s in ordered if s.name in held]


def epoch_order(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of the samples in an epoch, a permutation of shape (n,)."""
    return np.random.default_rng([seed, _ORDER, epoch]).permutation(n)


def shares_of(
    purified: Sequence[str], adversarial: Sequence[str], parameters: TrainParameters
) -> dict[str, float]:
    """The share of each version in the training, which is also its weight in validation.

    The clean version comes first. All purified versions have equal shares, and so do all
    adversarial ones.

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
) -> View:
    """Draw the view of a sample in an epoch.

    Parameters
    ----------
    sample : Sample
    purified, adversarial : sequence of str
        The versions besides the clean one; the parameters set how often each is drawn. Noisy
        versions are among the purified ones.
    parameters : TrainParameters
    epoch : int
    """
    own = crc32(sample.name.encode())
    rng = np.random.default_rng([parameters.seed, _DRAW, epoch, own])
    version = _draw_version(rng, purified, adversarial, parameters)
    box = draw_box(rng, parameters.min_crop)
    mirrored = parameters.flip and bool(rng.random() < 0.5)
    eps = float(rng.uniform(0, parameters.attack_eps)) if version in adversarial else 0.0
    share = rng.beta(parameters.mixup, parameters.mixup) if parameters.mixup else 1.0
    seed = (parameters.seed, _NOISE, epoch, own)
    return View(sample, version, box, mirrored, eps, float(max(share, 1 - share)), seed)


def validation_view(
    sample: Sample, version: str, adversarial: Sequence[str], parameters: TrainParameters
) -> View:
    """The view of a sample in every validation: uncropped, attacked with the full eps."""
    eps = parameters.attack_eps if version in adversarial else 0.0
    seed = (parameters.seed, _HELD_OUT, crc32(sample.name.encode()))
    return View(sample, version, eps=eps, seed=seed)


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
    """Draw a crop of ``smallest`` to 1 of the image's area, its aspect changed by at most 4:3."""
    if smallest == 1:
        return Box()
    area = rng.uniform(smallest, 1)
    aspect = np.exp(rng.uniform(*np.log(_ASPECTS)))
    height, width = min(1.0, np.sqrt(area / aspect)), min(1.0, np.sqrt(area * aspect))
    top, left = rng.uniform(0, 1 - height), rng.uniform(0, 1 - width)
    return Box(float(top), float(left), float(height), float(width))


def load_shard(views: Iterable[View], classifier: Classifier, needs_clean: bool) -> Shard:
    """Read, crop, fit, mirror and blend the images of some views.

    Images are fitted to the network's input as ``Classifier`` does, and rounded to 8 bits. The
    images for the teacher are blended in the same way.
    """
    batch = list(views)
    images = [_load_view(one, one.version, classifier) for one in batch]
    clean = images
    if needs_clean:
        clean = [
            image if one.sample.stored(one.version) == CLEAN else _load_view(one, CLEAN, classifier)
            for one, image in zip(batch, images, strict=True)
        ]
    shares = np.array([one.share for one in batch], np.float32)
    return Shard(
        _blended(np.stack(images), shares),
        _blended(np.stack(clean), shares),
        tuple(one.version for one in batch),
        np.array([one.sample.label for one in batch], np.int64),
        np.array([one.eps for one in batch], np.float32),
        shares,
        tuple(one.seed for one in batch),
    )


def _blended(images: Pixels, shares: NDArray[np.float32]) -> Pixels:
    """Blend each image with the one before it, by its share."""
    if (shares == 1).all():
        return images
    weights = shares[:, None, None, None]
    mixed = weights * images + (1 - weights) * np.roll(images, 1, axis=0)
    return np.rint(mixed).astype(np.uint8)


def _load_view(view: View, version: str, classifier: Classifier) -> Pixels:
    pixels = view.sample.load(view.sample.stored(version))
    if classifier.spec.fit.crop is not None:  # purified images are cut already
        pixels = classifier.fit_to_input(pixels)
    fitted = fit_pixels(view.box.cut(pixels), Fit(classifier.spec.size))
    return fitted[:, ::-1] if view.mirrored else fitted
