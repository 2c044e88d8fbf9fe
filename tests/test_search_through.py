"""The worst case over attacks through real defenses: policies, chains, random ones, and none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest

from rsparse.attacks import Adaptive, Pgd, Square
from rsparse.core.noise import noise_level, period_two
from rsparse.data import demo_photos
from rsparse.defenses import Defense, NoDefense, Resources, parse_defense
from rsparse.defenses.by_noise import ByNoise, Rule
from rsparse.options.attack import BackwardChoice
from rsparse.store.dictionaries import load_dictionary
from rsparse.store.images import decode_image
from tests.conftest import REPOSITORY

torch = pytest.importorskip("torch")

from rsparse.attacks import run_attack  # noqa: E402
from rsparse.attacks.through.cleaning import to_images  # noqa: E402

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels

pytestmark = pytest.mark.usefixtures("one_torch_core")

RESOURCES = Resources({"": load_dictionary(REPOSITORY / "fixtures" / "dict.h5")[0]}, 7)
SIDE = 96


@dataclass(frozen=True)
class Blank(Defense):
    """Makes every image black, so that nothing can be attacked behind it."""

    name: ClassVar[str] = "blank"

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:
        return np.zeros_like(image)


class Waves(torch.nn.Module):
    """Class 1 has the score of a pattern, waves with noise, and class 0 a constant one.


    Class 0 is ahead by a margin on the images that it is made for, and on black ones.
    """

    n_classes = 2

    def __init__(self, images: torch.Tensor, margin: float) -> None:
        super().__init__()
        rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
        noise = torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(0))
        pattern = torch.sin(rows / 5) * torch.cos(columns / 7) + noise
        self.register_buffer("pattern", pattern / pattern.abs().sum())
        self.lead = max(0.0, *self._scores(images).tolist()) + margin
        self.eval()

    def _scores(self, x: torch.Tensor) -> torch.Tensor:
        return (x.mean(1) * self.pattern).sum((1, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self._scores(x)
        return torch.stack([torch.full_like(scores, self.lead), scores], 1)


def photographs() -> np.ndarray:
    paths = sorted(demo_photos("test").rglob("*.png"))[:20:10]
    return np.stack([decode_image(path.read_bytes(), path)[:SIDE, :SIDE] for path in paths])


def channels_first(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


@pytest.fixture
def x() -> np.ndarray:
    return photographs() / np.float32(255)


@pytest.fixture
def y(x) -> np.ndarray:
    return np.zeros(len(x), np.int64)


def through(defense: Defense, net: torch.nn.Module) -> torch.nn.Module:
    return Pgd().through(net, defense, RESOURCES).eval()


def policy_around(pixels: np.ndarray) -> ByNoise:
    """Leaves images alone that have hardly more noise or period than these; blanks the others."""
    noise = max(noise_level(image) for image in pixels)
    period = max(period_two(image) for image in pixels)
    return ByNoise("guarded", (Rule(NoDefense(), 1.2 * noise + 0.1, period + 2), Rule(Blank())))


def test_only_what_the_policy_does_not_notice_fools_it(x, y):
    net = Waves(channels_first(x), 0.5 / 255)
    module = through(policy_around(photographs()), net)
    blunt = run_attack(module, x, y, Pgd(eps=8))
    assert fooled(module, blunt.x_adv) == [False, False]
    found = run_attack(module, x, y, Adaptive(eps=8, fast=True))
    assert fooled(module, found.x_adv) == [True, True]
    for note in found.notes:
        assert note["reached"]
        assert note["rules"] == [1, 1]
        assert note["shape"] == "unnoticed"


def fooled(module: torch.nn.Module, x: np.ndarray) -> list[bool]:
    with torch.no_grad():
        return (module(channels_first(x)).argmax(1) != 0).tolist()


@pytest.mark.parametrize(
    "spec", ["jpeg:quality=75", "regionsparse:sparsity=2,localize=no", "median+jpeg:quality=40"]
)
def test_what_is_reached_fools_the_bytes_that_purify_writes(x, y, spec):
    net = Waves(channels_first(x), 0.5 / 255)
    (defense,) = parse_defense(spec)
    found = run_attack(through(defense, net), x, y, Adaptive(eps=6, fast=True))
    files = np.rint(255 * found.x_adv).astype(np.uint8)
    assert np.abs(files.astype(int) - photographs()).max() <= 6
    cleaned = np.stack([defense.clean(image, RESOURCES) for image in files])
    answers = net(channels_first(cleaned / np.float32(255))).argmax(1) != 0
    assert [note["reached"] for note in found.notes] == answers.tolist() == [True, True]
    assert not fooled(through(defense, net), x)[0]


def test_a_random_defense_is_asked_again_with_other_seeds(x, y):
    (defense,) = parse_defense("slq")
    net = Waves(channels_first(x), 0.5 / 255)
    module = through(defense, net)
    found = run_attack(module, x, y, Adaptive(eps=6, fast=True, resubmissions=5))
    files = channels_first(found.x_adv)
    cleaned = [defense.clean(image, RESOURCES) for image in to_images(files)]
    answer = net(channels_first(np.stack(cleaned) / np.float32(255))).argmax(1) != 0
    again = module.resubmitted(files, 5).argmax(2) != 0
    assert torch.equal(again[0], answer)
    assert [note["reached"] for note in found.notes] == answer.tolist()
    assert [note["fooled"] for note in found.notes] == again.sum(0).tolist()
    assert torch.equal((255 * files).round() / 255, files)


def test_a_backward_that_is_named_is_the_only_one(x, y):
    net, (defense,) = Waves(channels_first(x), 3 / 255), parse_defense("jpeg:quality=75")
    module = Pgd().through(net, defense, RESOURCES, BackwardChoice("identity")).eval()
    found = run_attack(module, x, y, Adaptive(eps=6, fast=True))
    assert {note["backward"] for note in found.notes} == {"identity"}
    every = run_attack(through(defense, net), x, y, Adaptive(eps=6, fast=True))
    assert {note["backward"] for note in every.notes} != {"identity"}


def test_through_none_is_the_bare_model_byte_for_byte(x, y):
    net = Waves(channels_first(x), 1 / 255)
    for attack in (Pgd(eps=4, random_start=True), Adaptive(eps=1, fast=True)):
        bare, behind = (
            run_attack(module, x, y, attack, seed=3) for module in (net, through(NoDefense(), net))
        )
        np.testing.assert_array_equal(bare.x_adv, behind.x_adv)
        assert bare.notes == behind.notes


def test_squares_through_a_defense_count_their_queries(x, y):
    module = through(parse_defense("jpeg:quality=75")[0], Waves(channels_first(x), 1 / 255))
    before = module.queries
    notes = run_attack(module, x, y, Square(eps=4, queries=12)).notes
    assert [note["queries"] for note in notes] == [12, 12]
    assert module.queries - before >= 24
