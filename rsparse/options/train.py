"""What can be set in retraining a classifier."""

from __future__ import annotations

import dataclasses

from rsparse.options.device import device_parameter
from rsparse.options.fields import Parameters, parameter

_ATTACK = "Adversarial images"
_OPTIMISER = "Optimisation"
_AUGMENTATION = "Augmentation"
_COMPUTING = "Memory and precision"


@dataclasses.dataclass(frozen=True)
class TrainParameters(Parameters):
    """Retraining of a classifier (the paper's Sections V-E, V-F and V-H)."""

    train_on: str = parameter(
        "purified",
        "What it is trained on beside clean images: purified ones, adversarial ones (attacked on "
        "the weights as they change), both, or nothing else.",
        choices=("clean", "purified", "adversarial", "both"),
    )
    distill: bool = parameter(
        False,
        "Learn what the model itself says of the clean image instead of labels.",
        flag="--distill",
    )
    clean_share: float = parameter(
        0.3, "Share of the images that are shown clean.", minimum=0, maximum=1
    )
    adversarial_share: float | None = parameter(
        None,
        "With --train-on both, share of the images not shown clean that are adversarial; auto "
        "shows every version as often as the others.",
        above=0,
        maximum=0.99,
        none="auto",
        section=_ATTACK,
    )
    attack_eps: float = parameter(
        16.0,
        "Largest change by the attack, in grey levels; each image draws its own up to it.",
        above=0,
        maximum=255,
        section=_ATTACK,
    )
    attack_steps: int = parameter(
        1,
        "Steps of the attack: 1 is FGSM, more are BIM, in steps of 2 eps / steps.",
        minimum=1,
        maximum=100,
        section=_ATTACK,
    )
    train_layers: str = parameter(
        "all",
        "Layers that are trained: all, head (the last one), or names with * and ?, "
        "separated by commas.",
    )
    batch_norm: bool = parameter(
        False,
        "Also train batch normalisations and let them follow the new images' statistics.",
        flag="--train-batch-norm/--freeze-batch-norm",
    )
    epochs: int = parameter(
        10,
        "How often all images are gone through at most.",
        minimum=1,
        maximum=100_000,
        section=_OPTIMISER,
    )
    patience: int | None = parameter(
        4,
        "Stop after so many epochs without a lower validation loss.",
        minimum=1,
        none="off",
        section=_OPTIMISER,
    )
    validation_share: float = parameter(
        0.1, "Share of the images that is kept to validate.", above=0, maximum=0.9
    )
    optimizer: str = parameter(
        "adamw",
        "Optimiser.",
        choices=("adamw", "sgd"),
        section=_OPTIMISER,
    )
    learning_rate: float = parameter(
        3e-5,
        "Learning rate at its peak; it falls to 0 as a cosine.",
        above=0,
        maximum=100,
        section=_OPTIMISER,
    )
    warmup_share: float = parameter(
        0.05,
        "Share of the steps in which the learning rate rises to its peak.",
        minimum=0,
        maximum=1,
        section=_OPTIMISER,
    )
    momentum: float = parameter(
        0.9,
        "Momentum of sgd.",
        minimum=0,
        maximum=0.9999,
        section=_OPTIMISER,
    )
    weight_decay: float = parameter(
        0.01,
        "Decay of weights; biases and normalisations have none.",
        minimum=0,
        maximum=1,
        section=_OPTIMISER,
    )
    original_share: float = parameter(
        0.0,
        "Share of the original's weights in those that are written: the best ones are averaged "
        "with it, which keeps more of what it got right and takes some of what was learned back "
        "(WiSE-FT, Wortsman et al. 2022).",
        minimum=0,
        maximum=0.99,
        section=_OPTIMISER,
    )
    label_smoothing: float = parameter(
        0.1,
        "Share of a label that is spread over all classes.",
        minimum=0,
        maximum=0.9,
        section=_OPTIMISER,
    )
    distill_temperature: float = parameter(
        2.0,
        "Temperature of the softmax when distilling.",
        above=0,
        maximum=100,
        section=_OPTIMISER,
    )
    flip: bool = parameter(
        True,
        "Mirror half of the images.",
        section=_AUGMENTATION,
    )
    min_crop: float = parameter(
        0.7,
        "Smallest share of an image that a random crop keeps; 1 crops none.",
        above=0,
        maximum=1,
        section=_AUGMENTATION,
    )
    mixup: float = parameter(
        0.0,
        "Blend each image with another, by a share drawn from Beta(mixup, mixup); 0 blends none. "
        "When distilling, the model says itself what it sees in the blended clean images.",
        minimum=0,
        maximum=100,
        section=_AUGMENTATION,
    )
    batch_size: int = parameter(
        32,
        "Images in one step.",
        minimum=1,
        maximum=65536,
        section=_OPTIMISER,
    )
    shard_size: int | None = parameter(
        None,
        "Images that are computed together, a part of a batch for each core: memory follows it. "
        "auto is 4, and the whole batch on a GPU or where batch normalisations are trained.",
        minimum=1,
        maximum=65536,
        none="auto",
        section=_COMPUTING,
    )
    precision: str = parameter(
        "auto",
        "Precision of the forward pass; auto is bf16 on a GPU.",
        choices=("auto", "float32", "bf16"),
        section=_COMPUTING,
    )
    seed: int = parameter(
        0, "Seed of the split, the order and the augmentation.", minimum=0, maximum=2**32 - 1
    )
    device: str = device_parameter()

    @property
    def score(self) -> str:
        """What the share of right answers is: against labels, or against the original model."""
        return "agreement" if self.distill else "accuracy"

    @property
    def is_purified(self) -> bool:
        """Whether purified images are shown."""
        return self.train_on in ("purified", "both")

    @property
    def is_adversarial(self) -> bool:
        """Whether adversarial images are made and shown."""
        return self.train_on in ("adversarial", "both")
