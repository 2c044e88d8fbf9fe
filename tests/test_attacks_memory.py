"""Batch sizes on a GPU: chosen by its memory, the error if it is too small, and the threads that
measure them (no GPU needed)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rsparse.attacks import Fgsm, parse_attack, run_attack  # noqa: E402
from rsparse.attacks import batches as of_batches  # noqa: E402
from rsparse.attacks.batches import CPU_BATCH, MAX_BATCH, batch_that_fits  # noqa: E402
from rsparse.commands.attack.attack import attack_images  # noqa: E402
from rsparse.data import demo_model, demo_photos  # noqa: E402
from rsparse.models.onnx.classifier import load_classifier  # noqa: E402
from rsparse.models.torch.twin import load_twin  # noqa: E402
from rsparse.options.attack import AttackRunParameters  # noqa: E402
from rsparse.work.workers import LocalWorkers, ThreadsBesideDevice  # noqa: E402
from tests.conftest import REPOSITORY, tree_of  # noqa: E402
from tests.refusals import refused  # noqa: E402
from tests.toy_networks import linear_problem  # noqa: E402


@pytest.mark.parametrize(
    ("total", "each", "expected"),
    [(80 << 30, 100 << 20, MAX_BATCH), (8 << 30, 100 << 20, 32), (1 << 30, 5 << 30, 1)],
)
def test_half_of_the_memory_is_filled(monkeypatch, total, each, expected):
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=total)
    )
    monkeypatch.setattr(of_batches, "_bytes_per_image", lambda *_: each)
    assert batch_that_fits(torch.nn.Identity(), (8, 8), "cuda") == expected
    assert batch_that_fits(torch.nn.Identity(), (8, 8), "cpu") == CPU_BATCH


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_pass_takes_memory():
    net = torch.nn.Conv2d(3, 8, 3).cuda()
    small, large = (of_batches._bytes_per_image(net, (n, n), "cuda") for n in (32, 256))
    assert 0 < small < large


def test_an_attack_that_does_not_fit_says_what_would():
    net, x, y = linear_problem()
    net.eval()

    def exhausted(*_: object) -> None:
        raise torch.OutOfMemoryError

    net.register_full_backward_hook(exhausted)
    n, height, width, _ = x.shape
    with refused(
        f"fgsm: the memory of cpu is too small for a batch of {n} images of {width}×{height} "
        "pixels; use a smaller --batch-size"
    ):
        run_attack(net, x, y, Fgsm(eps=8))


def test_classifying_takes_fewer_at_a_time(monkeypatch):
    """The batch shrinks down to one image; if even that does not fit, an error says so."""
    twin = load_twin(load_classifier(REPOSITORY / "fixtures" / "colours.onnx"))
    images = list(np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8))
    expected, forward, room = twin.logits(images), twin.forward, 2

    def limited(x: torch.Tensor) -> torch.Tensor:
        if len(x) > room:
            raise torch.OutOfMemoryError
        return forward(x)

    monkeypatch.setattr(twin, "forward", limited)
    np.testing.assert_allclose(twin.logits(images), expected, atol=1e-5)
    room = 0
    with refused("the memory of device 'cpu' is too small for it"):
        twin.logits(images)


def test_threads_that_measure_parts_of_a_batch_change_no_byte(tmp_path: Path) -> None:
    attacks = [a for text in ("fgsm:eps=4", "cw-l2:d=0.1,steps=2") for a in parse_attack(text)]
    trees = []
    for workers in (LocalWorkers(1), ThreadsBesideDevice(3)):
        output = tmp_path / str(len(trees))
        attack_images(
            [demo_photos("test")], demo_model(), attacks, output,
            AttackRunParameters(batch_size=11, device="cpu"), workers=workers,
        )  # fmt: skip
        trees.append(tree_of(output))
    assert trees[0] == trees[1]
    assert len(trees[0]) > 2 * 11
