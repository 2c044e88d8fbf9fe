"""Parameters of ``rsparse train``."""

from __future__ import annotations

import dataclasses
from typing import Any

from rsparse.options.device import device_parameter, seed_parameter
from rsparse.options.fields import Parameters, levels_parameter, parameter
from rsparse.options.sections import ATTACK
from rsparse.options.sigmas import ONE_OR_SEVERAL, sigmas_from

_NOISE = "Noisy images"
_OPTIMISER = "Optimisation"
_AUGMENTATION = "Augmentation"
_COMPUTING = "Memory and precision"


@dataclasses.dataclass(frozen=True)
class TrainParameters(Parameters):
    """Retraining of a classifier (the paper's Sections V-E, V-F and V-H)."""

    train_on: str = parameter(
        "purified",
        "Images to train on in addition to clean ones, or none (clean).",
        details="adversarial ones are made on the current weights, noisy ones by --noise.",
        choices=("clean", "purified", "adversarial", "both", "noisy"),
    )
    distill: bool = parameter(
        False,
        "Learn the original model's output for the clean image instead of labels.",
        flag="--distill",
    )
    clean_share: float = parameter(
        0.3, "Share of the training images that are clean.", minimum=0, maximum=1, rare=True
    )
    adversarial_share: float | None = parameter(
        None,
        "With --train-on both, share of adversarial images among those that are not clean; auto "
        "uses every version equally often.",
        above=0,
        maximum=0.99,
        none="auto",
        section=ATTACK,
        rare=True,
    )
    attack_eps: float = levels_parameter(
        16.0,
        "Largest change by the attack, in grey levels; each image draws a random one up to it.",
        above=0,
        section=ATTACK,
    )
    attack_steps: int = parameter(
        1,
        "Steps of the attack: 1 is FGSM, more are BIM with a step size of 2 eps / steps.",
        minimum=1,
        maximum=100,
        section=ATTACK,
        rare=True,
    )
    noise: str | None = parameter(
        None,
        "Train on noisy, denoised images, for rsparse certify: standard deviation of the noise for "
        "pixels in [0, 1], or several separated by commas. Implies --train-on noisy.",
        metavar="X[,X…]",
        what=ONE_OR_SEVERAL,
        section=_NOISE,
        rare=True,
    )
    denoiser: str = parameter(
        "unrolled",
        "Denoiser of the noisy images, as in rsparse certify.",
        metavar="SPEC",
        what="a denoiser",
        section=_NOISE,
        rare=True,
    )
    train_layers: str = parameter(
        "all",
        "Layers to train: all, head (the last one), or names separated by commas.",
        details="Names may have the wildcards * and ?.",
        words=("all", "head"),
        rare=True,
    )
    batch_norm: bool = parameter(
        False,
        "Train the batch normalisations and update their statistics, or keep them unchanged.",
        flag="--train-batch-norm/--freeze-batch-norm",
        rare=True,
    )
    epochs: int = parameter(
        10,
        "Largest number of passes over all images.",
        minimum=1,
        maximum=100_000,
    )
    patience: int | None = parameter(
        4,
        "Stop after this many epochs without a lower validation loss.",
        minimum=1,
        none="off",
        section=_OPTIMISER,
        rare=True,
    )
    validation_share: float = parameter(
        0.1, "Share of the images that is held out for validation.", above=0, maximum=0.9, rare=True
    )
    optimizer: str = parameter(
        "adamw",
        "Optimiser: AdamW, or SGD with momentum.",
        choices=("adamw", "sgd"),
        section=_OPTIMISER,
        rare=True,
    )
    learning_rate: float = parameter(
        3e-5,
        "Peak learning rate; it then falls to 0 as a cosine.",
        above=0,
        maximum=100,
        section=_OPTIMISER,
        rare=True,
    )
    warmup_share: float = parameter(
        0.05,
        "Share of all steps during which the learning rate rises to its peak.",
        minimum=0,
        maximum=1,
        section=_OPTIMISER,
        rare=True,
    )
    momentum: float = parameter(
        0.9, "Momentum of SGD.", minimum=0, maximum=0.9999, section=_OPTIMISER, rare=True
    )
    weight_decay: float = parameter(
        0.01,
        "Weight decay; biases and normalisations have none.",
        minimum=0,
        maximum=1,
        section=_OPTIMISER,
        rare=True,
    )
    original_share: float = parameter(
        0.0,
        "Share of the original weights in the result, which is their average with the best ones: a "
        "larger share forgets less and learns less (WiSE-FT, Wortsman et al. 2022).",
        minimum=0,
        maximum=0.99,
        section=_OPTIMISER,
        rare=True,
    )
    label_smoothing: float = parameter(
        0.1,
        "Share of a label that is spread over all classes.",
        minimum=0,
        maximum=0.9,
        section=_OPTIMISER,
        rare=True,
    )
    distill_temperature: float = parameter(
        2.0,
        "Temperature of the softmax with --distill.",
        above=0,
        maximum=100,
        section=_OPTIMISER,
        rare=True,
    )
    flip: bool = parameter(
        True, "Mirror each image with probability 1/2.", section=_AUGMENTATION, rare=True
    )
    min_crop: float = parameter(
        0.7,
        "Smallest share of an image that a random crop keeps; 1 does not crop.",
        above=0,
        maximum=1,
        section=_AUGMENTATION,
        rare=True,
    )
    mixup: float = parameter(
        0.0,
        "Blend each image with another, with a share drawn from Beta(mixup, mixup); 0 does not "
        "blend. With --distill, the targets are the original model's outputs for the blended clean "
        "images.",
        minimum=0,
        maximum=100,
        section=_AUGMENTATION,
        rare=True,
    )
    batch_size: int = parameter(
        32, "Images in one training step.", minimum=1, maximum=65536, section=_OPTIMISER, rare=True
    )
    shard_size: int | None = parameter(
        None,
        "Images computed together: each core takes a part of the batch, and memory use grows with "
        "its size. auto is 4, or the whole batch on a GPU or with --train-batch-norm.",
        minimum=1,
        maximum=65536,
        none="auto",
        section=_COMPUTING,
        rare=True,
    )
    precision: str = parameter(
        "auto",
        "Precision of the forward pass; auto is bf16 on a GPU.",
        choices=("auto", "float32", "bf16"),
        section=_COMPUTING,
        rare=True,
    )
    seed: int = seed_parameter("Seed of the split, the order and the augmentation.")
    device: str = device_parameter()

    def as_record(self) -> dict[str, Any]:
        """The values as plain JSON types; those of the noise only if there is any."""
        values = super().as_record()
        return {
            name: value
            for name, value in values.items()
            if self.is_noisy or name not in ("noise", "denoiser")
        }

    @property
    def score(self) -> str:
        """The name of the share of right answers: by labels, or by the original model's answers."""
        return "agreement" if self.distill else "accuracy"

    @property
    def is_purified(self) -> bool:
        """Whether the training uses purified images."""
        return self.train_on in ("purified", "both")

    @property
    def is_adversarial(self) -> bool:
        """Whether the training uses adversarial images."""
        return self.train_on in ("adversarial", "both")

    @property
    def is_noisy(self) -> bool:
        """Whether the training uses noisy images."""
        return self.train_on == "noisy"

    @property
    def noise_sigmas(self) -> tuple[float, ...]:
        """The standard deviations of the noise, in rising order; none without noise.

        Raises
        ------
        InputError
            If ``noise`` describes none.
        """
        return () if self.noise is None else sigmas_from(self.noise, "noise")
