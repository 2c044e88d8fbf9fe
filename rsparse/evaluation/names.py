"""The names of the scenarios, as the paper and Carlini et al. (2019) give them."""

from __future__ import annotations

GRAY_BOX = "gray-box"
ADAPTIVE = "adaptive"
TRANSFER = "transfer"
BLACK_BOX = "black-box"
EXTENDED_GRAY_BOX = "extended-gray-box"
ADVERSARIAL_TRAINING = "adversarial-training"
ADVERSARIAL_TRAINING_BLACK_BOX = f"{ADVERSARIAL_TRAINING}-{BLACK_BOX}"
