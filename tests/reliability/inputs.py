"""What the commands of the cases read: pictures, a model, and artifacts made from them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from rsparse.store.images import encode_png
from tests.colours import CLASSES, picture
from tests.conftest import REPOSITORY
from tests.onnx_models import ConvNet
from tests.reliability.laboratory import Laboratory

N_PICTURES = 12
NETWORK_OF_TIMM = "test_resnet.r160_in1k"


def make_inputs(laboratory: Laboratory) -> None:
    """Fill ``inputs/``, once; its artifacts are made by the commands themselves."""
    folder = laboratory.inputs
    weights = folder / "weights.safetensors"
    if not (folder / "done").exists():
        _make_files(folder)
        shown = laboratory.run(["policy", "show", "default", "--toml"])
        (folder / "policy.toml").write_bytes(shown.stdout)
        for line in _LINES[: 2 if laboratory.light else None]:
            ended = laboratory.run(line.split(), limit=120)
            assert ended.status == 0, ended.stderr.decode()
        laboratory.clean()
        if not laboratory.light:
            weights.write_bytes(_weights())
        (folder / "done").touch()
    if weights.exists():
        laboratory.hub.content = weights.read_bytes()


def _make_files(folder: Path) -> None:
    for number in range(N_PICTURES):
        path = folder / "clean" / CLASSES[number % 3] / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(picture(number % 3, 5 + 4 * number)))
    rows = [f"{number:02d}.png,{CLASSES[number % 3]}\n" for number in range(N_PICTURES)]
    (folder / "labels.csv").write_text("file,label\n" + "".join(rows))
    (folder / "plan.toml").write_text(_PLAN)
    shutil.copy(REPOSITORY / "fixtures" / "colours.onnx", folder)
    said = {"mean": [0, 0, 0], "std": [1, 1, 1], "labels": list(CLASSES)}
    tagged = {"rsparse.input": json.dumps(said)}
    ConvNet(size=(16, 16), classes=3, metadata=tagged).save(folder / "network.onnx")
    ConvNet(size=(16, 16), classes=3).save(folder / "plain.onnx")


def _weights() -> bytes:
    """The weights that the hub sends of a small network."""
    from safetensors.torch import save

    from rsparse.models.zoo.networks import build_network, find_model
    from tests.torchvision_operators import import_torchvision

    import_torchvision()
    return save(build_network(find_model(NETWORK_OF_TIMM), None, seed=7).state_dict())


_LINES = (
    "learn-dict inputs/clean --patch-size 4 --n-atoms 64 --patches-per-image 40 -o inputs/dict.h5",
    "localize inputs/clean -o inputs/masks -j 1",
    "attack inputs/clean -m inputs/colours.onnx -a fgsm:eps=4 --keep-float -o inputs/adv -j 1",
    "evaluate inputs/clean -m inputs/colours.onnx -a fgsm:eps=4 --defense jpeg:quality=40 "
    "--no-extra-checks --max-images 6 -j 1 -o inputs/eval",
    "classify inputs/adv -m inputs/colours.onnx -o inputs/p.csv -j 1",
    "classify inputs/adv -m inputs/colours.onnx -o inputs/p.h5 -j 1",
    "activations inputs/clean inputs/adv -m inputs/network.onnx -o inputs/a.h5 -j 1",
    "train inputs/clean -m inputs/colours.onnx --distill --epochs 1 --defense median -j 1 "
    "-o inputs/trained.onnx",
)
_PLAN = """\
images = "clean"
model = "colours.onnx"
attack = ["fgsm:eps=4", "bim:eps=2"]
defense = ["jpeg:quality=40", "regionsparse:sparsity=1"]
dict = "dict.h5"
output = "../work/plan"
max-images = 6
"""
