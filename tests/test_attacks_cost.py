"""What attacks cost: they make no unnecessary passes through the model."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rsparse.attacks import Attack, parse_attack
from rsparse.cli.attack import announce
from rsparse.cli.console import progress_bar
from rsparse.commands.attack.attack import attack_images
from rsparse.commands.attack.attacker import Attacker, make_batches
from rsparse.commands.attack.cost import AttackCost
from rsparse.data import demo_model, demo_photos
from rsparse.models.onnx.classifier import load_classifier
from rsparse.options.attack import AttackRunParameters
from rsparse.store.finding import find_images
from rsparse.store.images import to_unit
from rsparse.work.workers import LocalWorkers

torch = pytest.importorskip("torch")

from rsparse.attacks import run_attack  # noqa: E402
from tests.processes import read_terminal  # noqa: E402
from tests.toy_networks import foolbox_result, smooth_problem  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_core")


class Counting(torch.nn.Module):
    """A network with a known number of classes that counts the images it sees."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network, self.n_classes, self.seen = network, 4, 0
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += len(x)
        return self.network(x)


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("fgsm:eps=4", 1),
        ("bim:eps=4,steps=7", 7),
        ("mi-fgsm:eps=4,steps=6", 6),
        ("mi-fgsm:d=0.1,steps=6", 6),
        ("LinfPGD:eps=4,steps=5", 5),
        ("L2PGD:d=0.1,steps=3", 3),
    ],
)
def test_every_pass_is_a_step(text: str, passes: int) -> None:
    net, x, y = smooth_problem()
    counting = Counting(net)
    (attack,) = parse_attack(text)
    run_attack(counting, x, y, attack)
    assert attack.passes == passes
    assert counting.seen == passes * len(x)


@pytest.mark.parametrize(
    "text",
    [
        "cw-l2:steps=9,binary_search_steps=2,initial_const=10",
        "L2CarliniWagnerAttack:steps=9,binary_search_steps=2,initial_const=10,abort_early=no",
    ],
)
def test_a_search_is_classified_once_more(text: str) -> None:
    """Foolbox's own success flags cannot be trusted."""
    net, x, y = smooth_problem()
    counting = Counting(net)
    (attack,) = parse_attack(text)
    run_attack(counting, x, y, attack)
    assert attack.passes == 2 * 9
    assert counting.seen == (attack.passes + 1) * len(x)


@pytest.mark.parametrize(
    ("text", "name", "arguments", "epsilon"),
    [
        ("fgsm:eps=8", "LinfFastGradientAttack", {}, 8 / 255),
        (
            "bim:eps=8",
            "LinfBasicIterativeAttack",
            {"rel_stepsize": 0.2, "steps": 10},
            8 / 255,
        ),
        ("LinfPGD:eps=8,steps=4", "LinfPGD", {"steps": 4}, 8 / 255),
        (
            "LinfRepeatedAdditiveUniformNoiseAttack:eps=90,repeats=4",
            "LinfRepeatedAdditiveUniformNoiseAttack",
            {"repeats": 4},
            90 / 255,
        ),
        ("L2DeepFoolAttack", "L2DeepFoolAttack", {}, None),
    ],
)
def test_the_pixels_are_those_of_foolbox_s_public_call(
    text: str, name: str, arguments: dict, epsilon: float | None
) -> None:
    import foolbox.attacks

    net, x, y = smooth_problem()
    (attack,) = parse_attack(text)
    found = run_attack(net, x, y, attack, seed=5)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        theirs, _ = foolbox_result(net, x, y, getattr(foolbox.attacks, name)(**arguments), epsilon)
    np.testing.assert_array_equal(found.x_adv, theirs)
    assert (found.x_adv != x).any()


def test_what_is_known_is_not_classified_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that the attack or the rounding does not change keeps its prediction."""
    from rsparse.attacks.running import AttackResult
    from rsparse.commands.attack import attacker as module

    photos = find_images([demo_photos("test")])[:3]
    attacker = Attacker(load_classifier(demo_model()), "cpu", keep_size=False, seed=0)
    targets, _ = attacker.find_targets(photos, {})
    (batch,) = make_batches(targets, 3)
    pixels = attacker.load(batch)
    x_adv = to_unit(pixels)
    x_adv[1] = to_unit(255 - pixels[1])  # rounding does not change it
    x_adv[2] = np.clip(x_adv[2] + np.float32(0.3 / 255), 0, 1)  # rounding undoes it
    expected = [[t.prediction for t in targets], module.predictions(attacker.classifier, x_adv)]
    counts = []

    def counted(classifier, images):
        counts.append(len(images))
        return predictions(classifier, images)

    predictions = module.predictions
    monkeypatch.setattr(module, "predictions", counted)
    found = attacker.measure(batch, AttackResult(x_adv, np.array([True, False, False])), 1.0)
    assert sum(counts) == 1 + 1
    assert [item.measured["prediction_float"] for item in found] == expected[1].tolist()
    assert [item.measured["prediction"] for item in found[::2]] == expected[0][::2]


def test_the_cost_is_told_before(tmp_path: Path) -> None:
    """Attacks that differ only in scaling are counted once; existing results cost nothing."""
    told: list[AttackCost] = []
    photos = tmp_path / "photos"
    shutil.copytree(demo_photos("test") / "cat", photos / "cat")
    attacks = [
        a for text in ("fgsm:eps=2,8", "cw-l2:d=0.1,0.2,steps=5") for a in parse_attack(text)
    ]

    def attack(*chosen: Attack) -> None:
        attack_images(
            [photos], demo_model(), chosen, tmp_path / "adv", AttackRunParameters(),
            announce=told.append, workers=LocalWorkers(1),
        )  # fmt: skip

    attack(*attacks)
    n = len(find_images([photos]))
    (cost,) = told
    assert (cost.images, cost.results, cost.cores) == (n, 3 * n, 1)
    assert cost.passes == n * (1 + 1 + attacks[2].passes)
    assert 0 < cost.seconds_per_pass < 1
    assert cost.seconds == pytest.approx(cost.passes * cost.seconds_per_pass)
    shutil.rmtree(tmp_path / "adv" / "fgsm-eps=8")
    attack(*attacks)
    assert (told[1].results, told[1].passes) == (n, n)


def test_only_long_attacks_are_announced(capsys: pytest.CaptureFixture[str]) -> None:
    said = "400 images to attack, 4,400 passes through the model of 26 ms each: about 57 s on"
    with progress_bar() as progress:
        announce(AttackCost(2, 2, 4, 0.026, 1), progress)
        announce(AttackCost(200, 400, 4400, 0.026, 2), progress)
    assert " ".join(capsys.readouterr().err.split()) == f"{said} 2 cores"


def test_on_a_terminal_the_cost_has_a_line_of_its_own() -> None:
    """It is printed while a progress bar is shown, and must not be mixed up or erased with it."""
    code = (
        "import time\n"
        "from rsparse.cli.console import progress_bar\n"
        "with progress_bar() as progress:\n"
        "    progress.start('classify', 2, 1)\n"
        "    time.sleep(0.3)\n"
        "    progress.message('about 9 min')\n"
        "    progress.advance()\n"
        "    time.sleep(0.3)\n"
    )
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen([sys.executable, "-c", code], stderr=theirs, env=environment) as running:
        os.close(theirs)
        shown = b""
        while chunk := read_terminal(ours):
            shown += chunk
    os.close(ours)
    assert running.returncode == 0
    lines = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", shown).replace(b"\r", b"\n").split(b"\n")
    assert b"about 9 min" in [line.strip() for line in lines]
    assert any(line.startswith(b"classify") for line in lines)
