"""Attacks through defenses on photographs: published defenses fall, and the purifier with them."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from rsparse.attacks import Bim
from rsparse.defenses import Resources, parse_defense
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.spec import InputOptions
from rsparse.options.attack import BackwardChoice
from rsparse.store.dictionaries import load_dictionary
from rsparse.store.images import decode_image, to_pixels, to_unit
from tests.conftest import REPOSITORY

pytest.importorskip("foolbox")

from rsparse.attacks import run_attack
from rsparse.models.torch.twin import load_twin

pytestmark = [pytest.mark.shared, pytest.mark.slow, pytest.mark.usefixtures("one_torch_core")]

PHOTOS = 8


@pytest.fixture(scope="module")
def right(shared):
    """Photographs at the input size that MobileNet-v2 gets right, their labels, and the model."""
    model = load_classifier(
        shared / "models/mobilenet_v2_224.onnx", InputOptions(preset="mobilenet-v2")
    )
    images, labels = [], []
    rows = list(csv.DictReader((shared / "photos/labels.csv").read_text().splitlines()))
    for row in rows[: 2 * PHOTOS]:
        path, label = shared / "photos" / row["file"], int(row["label"])
        image = model.fit_to_input(decode_image(path.read_bytes(), path))
        if model.logits([image]).argmax() == label and len(images) < PHOTOS:
            images.append(image)
            labels.append(label)
    assert len(images) == PHOTOS
    return np.stack(images), np.array(labels), model


@pytest.mark.parametrize(
    ("spec", "eps", "most"),
    [
        ("jpeg:quality=75", 8, 0),
        ("bit-depth:bits=3", 8, 0),
        ("tvm", 8, 0),
        ("regionsparse:sparsity=1,stride=4,localize=no", 4, 1),
        ("policy:default", 4, 1),
    ],
)
def test_no_defense_survives_an_attacker_who_knows_it(right, spec, eps, most):
    """Athalye, Carlini, Wagner (2018): at most 5 % of the images are still right at eps 8."""
    images, labels, model = right
    (defense,) = parse_defense(spec)
    resources = Resources({"": load_dictionary(REPOSITORY / "fixtures" / "dict.h5")[0]}, 0)
    attack = Bim(eps=eps)
    module = attack.through(load_twin(model), defense, resources, BackwardChoice(draws=1)).eval()
    adversarial = to_pixels(run_attack(module, to_unit(images), labels, attack).x_adv)
    assert np.abs(adversarial.astype(int) - images).max() <= eps
    clean = [defense.clean(image, resources) for image in adversarial]
    assert (model.logits(clean).argmax(axis=1) == labels).sum() <= most
