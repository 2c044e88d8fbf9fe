"""Each package of each extra, hidden: one line says what to install, from an index or a clone."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rsparse.data import demo_model, demo_photos
from rsparse.errors import installing
from tests.conftest import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NO_COMMAND_NEEDS = {"dev", "docs", "fast"}
EXTRAS = {
    extra: [
        requirement.partition(">")[0].partition("<")[0]
        for requirement in requirements
        if not requirement.startswith("rsparse[")  # another extra has a test of its own
    ]
    for extra, requirements in PROJECT["optional-dependencies"].items()
    if extra not in NO_COMMAND_NEEDS
}
MODULES = {"mlflow-skinny": "mlflow"}  # packages whose module has another name
ALWAYS = {"scipy"}  # scikit-learn needs it
PHOTOS, MODEL = str(demo_photos("test")), str(demo_model())
EVALUATE = ("evaluate", PHOTOS, "-m", MODEL, "--adversarial", f"same={PHOTOS}", "-o", "out")
USES = {
    "attack": ("attacks need", ("attack", PHOTOS, "-m", MODEL, "-a", "bim:eps=8", "-o", "out")),
    "autoattack": (
        "attack 'autoattack:eps=8': autoattack needs",
        ("attack", PHOTOS, "-m", MODEL, "-a", "autoattack:eps=8", "-o", "out"),
    ),
    "attention": (
        "Grad-CAM needs",
        ("attention", PHOTOS, "-m", MODEL, "--method", "grad-cam", "-o", "out"),
    ),
    "cluster": ("--cluster needs", ("localize", PHOTOS, "--cluster", "local:1", "-o", "out")),
    "models": ("fetching models needs", ("fetch", "resnet10t.c3_in1k", "-o", "out.onnx")),
    "train": (
        "training needs",
        ("train", PHOTOS, "-m", MODEL, "--train-on", "clean", "-o", "o.onnx"),
    ),
    "mlflow": ("log: mlflow needs", (*EVALUATE, "--log", "mlflow:")),
    "tensorboard": ("log: tensorboard needs", (*EVALUATE, "--log", "tensorboard:runs")),
}
WITHOUT = """
import sys
hidden = sys.argv.pop(1)
if hidden == "huggingface_hub":
    from tests.torchvision_operators import import_torchvision
    import_torchvision()
sys.modules[hidden] = None
from rsparse.__main__ import main
main()
"""


def without(module: str, folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and standard error of a command where a module cannot be imported."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, module, *arguments],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert list(folder.iterdir()) == []
    return done.returncode, done.stderr


def cases() -> Iterator[Any]:
    for extra, packages in EXTRAS.items():
        for package in packages:
            marks = [pytest.mark.slow] if package == "huggingface_hub" else []  # imports timm
            if package not in ALWAYS:
                yield pytest.param(extra, package, marks=marks)


@pytest.mark.parametrize(("extra", "package"), list(cases()))
def test_a_missing_package_names_its_extra(extra: str, package: str, tmp_path: Path) -> None:
    need, arguments = USES[extra]
    code, told = without(MODULES.get(package, package), tmp_path, *arguments)
    line = f"rsparse: error: {need} {package}, which is not installed: {installing(extra)}\n"
    assert (code, told) == (2, line)


def test_a_device_of_torch_and_other_commands_name_their_extra(tmp_path: Path) -> None:
    device = ("classify", PHOTOS, "-m", MODEL, "--device", "torch-cpu")
    for what, arguments in {
        "device 'torch-cpu': needs": device,
        "attacks need": ("demo", "-o", "out"),
    }.items():
        code, told = without("torch", tmp_path, *arguments)
        line = f"{what} torch, which is not installed: {installing('attack')}\n"
        assert (code, told) == (2, f"rsparse: error: {line}")


def test_the_commands_are_for_an_index_and_for_a_clone() -> None:
    assert installing("train") == (
        "pip install 'rsparse[train]', or in a clone: pip install '.[train]'"
    )
    assert set(USES) == set(EXTRAS)
