"""``autoattack`` is the package of its authors, asked as they ask it."""

from __future__ import annotations

import numpy as np
import pytest

import rsparse
from rsparse.attacks import AutoAttack, parse_attack
from rsparse.attacks.autoattack import PACKAGE
from rsparse.attacks.running import run_attack
from rsparse.data import demo_model, demo_photos
from rsparse.store.images import decode_image, to_unit
from tests.colours import MODEL, colours
from tests.refusals import refused

__all__ = ["colours"]  # the fixture

pyautoattack = pytest.importorskip(PACKAGE)
torch = pytest.importorskip("torch")


class Linear(torch.nn.Module):
    """Logits of one pixel per class, so that the distance to each boundary is known."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.n_classes = n_classes

    def forward(self, x):
        return 10 * x.flatten(1)[:, : self.n_classes]


def images(leads) -> np.ndarray:
    """Images of class 0, whose pixel leads all others by so many grey levels."""
    x = np.full((len(leads), 2, 2, 3), 100 / 255, np.float32)
    x[:, 0, 0, 0] = (100 + np.array(leads)) / 255
    return x


def test_names_lead_to_it():
    for word in ("autoattack", "AutoAttack", "auto-attack", "AUTO_ATTACK"):
        assert parse_attack(f"{word}:eps=4") == [AutoAttack(eps=4)]
    assert parse_attack("autoattack:eps=4,8/255,version=rand") == [
        AutoAttack(eps=4, version="rand"), AutoAttack(eps=8, version="rand"),
    ]  # fmt: skip
    with refused("attack 'autoattack:version=plus': version: expected one of standard, rand, got "
                 "'plus'"):  # fmt: skip
        parse_attack("autoattack:version=plus")


def test_what_is_within_reach_falls_and_what_is_not_stands():
    """A lead of 15 levels is lost by changes of 8; one of 17 cannot be."""
    result = run_attack(
        Linear(6).eval(), images([15, 1, 15]), np.zeros(3, np.int64), AutoAttack(eps=8)
    )
    assert (result.x_adv.reshape(3, -1)[:, :6].argmax(1) != 0).all()
    assert np.abs(result.x_adv - images([15, 1, 15])).max() <= 8 / 255 + 1e-6


@pytest.mark.slow
def test_all_parts_are_tried_on_what_stands():
    result = run_attack(Linear(6).eval(), images([17]), np.zeros(1, np.int64), AutoAttack(eps=8))
    np.testing.assert_array_equal(result.x_adv, images([17]))


def test_it_is_the_package_itself_on_the_demo_classifier():
    """The same seed gives the same images as the package called by hand."""
    paths = [demo_photos("test") / name / "00.png" for name in ("cat", "brick")]
    pixels = np.stack([decode_image(path.read_bytes(), path) for path in paths])
    classifier = rsparse.load_classifier(demo_model())
    y = classifier.logits(pixels).argmax(axis=1)
    ours = rsparse.attack(pixels, y, classifier, "autoattack:eps=8")
    assert (classifier.logits(ours.x_adv).argmax(axis=1) != y).all()

    from rsparse.attacks.attackable import attackable

    twin = attackable(classifier, "cpu", True)
    torch.manual_seed(0)
    drawn = int(torch.randint(2**31, ()))
    by_hand = pyautoattack.AutoAttack(twin, eps=8 / 255, seed=drawn)
    x = torch.from_numpy(to_unit(pixels)).permute(0, 3, 1, 2).contiguous()
    found, _ = by_hand.run_standard_evaluation(x, torch.from_numpy(y), batch_size=2)
    theirs = np.rint(found.permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8)
    np.testing.assert_array_equal(ours.x_adv, theirs)


def test_it_says_what_it_doubts(capsys):
    """Zero gradients are a doubt of the package, which is noted and not printed."""

    class Flat(Linear):
        def forward(self, x):
            logits = super().forward(x)
            return torch.softmax(logits, 1)

    attack = AutoAttack(eps=8)
    result = run_attack(Flat(6).eval(), images([3]), np.zeros(1, np.int64), attack)
    (doubt, *_) = result.notes[0]["doubts"]
    assert doubt.startswith("it seems that the output is a probability distribution")
    assert capsys.readouterr().err == ""


def test_few_classes_are_refused_before_anything_is_computed(assert_error, colours, tmp_path):
    line = "autoattack: needs a model of 4 classes or more, got 3; use autoattack-parts"
    words = (colours, "-m", MODEL, "-a", "autoattack", "-o", tmp_path / "out")
    assert_error(line, "attack", *words)
    assert_error(line, "evaluate", *words)
    with refused("autoattack: needs a model of 4 classes or more, got 3; use autoattack-parts"):
        run_attack(Linear(3).eval(), images([3]), np.zeros(1, np.int64), AutoAttack(eps=8))


def test_without_the_package_its_extra_is_named(monkeypatch):
    monkeypatch.setattr("rsparse.attacks.autoattack.find_spec", lambda name: None)
    with pytest.raises(Exception, match=r"autoattack needs pyautoattack, which is not installed"):
        parse_attack("autoattack")
