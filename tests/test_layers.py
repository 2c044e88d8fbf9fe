"""Imports only go down the layers, and nothing heavy is loaded before it is needed."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "rsparse"
PATHS = sorted(PACKAGE.rglob("*.py"))


def layers() -> list[set[str]]:
    """The table in CONTRIBUTING, top to bottom; modules in one row may import each other."""
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]+`) \|", text.split("| layer |")[1].split("\n\n")[0], re.M)
    return [
        {name.removesuffix(".py") for name in re.findall(r"`(\w+(?:\.py)?)/?`", r)} for r in rows
    ]


LAYERS = layers()
LAYERS[0].add("__main__")
LAYERS[-1].add("__init__")
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
HEAVY = frozenset({
    "numpy", "cv2", "torch", "sklearn", "scipy", "h5py", "onnx", "onnxruntime", "matplotlib", "PIL",
    "numba", "foolbox", "threadpoolctl", "pydantic", "distributed",
    "jinja2", "timm", "huggingface_hub", "safetensors", "triton", "art", "secmlt",
    "mlflow", "captum", "pyautoattack",
})  # fmt: skip
OWNERS = {
    "mlflow": {"report"},
    "captum": {"models"},
    "pyautoattack": {"attacks"},
    "torch": {
        "report",
        "models",
        "attacks",
        "core",
        "work",
        "training",
        "coder",
        "api",
        "torch",
        "adapters",
    },
    "safetensors": {"training"},
    "triton": {"core"},
    "foolbox": {"attacks", "adapters"},
    "eagerpy": {"attacks", "adapters"},
    "art": {"adapters"},
    "secmlt": {"adapters"},
    "onnx": {"models"},
    "onnxruntime": {"models"},
    "timm": {"models"},
    "huggingface_hub": {"models"},
    "h5py": {"store"},
    "distributed": {"work"},
    "jinja2": {"pages"},
    "typer": {"cli"},
    "rich": {"cli"},
    "matplotlib": {"pictures"},
    "PIL": {"store", "pictures", "report", "core"},
    "cv2": {"core", "store", "models", "work", "report"},
    "threadpoolctl": {"work", "core"},
    "numba": {"core"},
    "sklearn": {"core", "sklearn", "coder"},
    "scipy": {"core", "evaluation", "coder"},
    "pydantic": set(),
}
JOINERS = {"demo", "evaluate", "train"}  # commands that run several others


def module_of(path: Path) -> tuple[str, ...]:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(node: ast.AST, *, at_import_time: bool = False) -> set[str]:
    """Dotted names that a module imports, except those for type checking only."""
    found: set[str] = set()
    for child in ast.iter_child_nodes(node):
        if is_for_types(child):
            continue
        if at_import_time and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(child, ast.Import):
            found |= {alias.name for alias in child.names}
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative import"
            found |= {f"{child.module}.{alias.name}" for alias in child.names}
        found |= imports(child, at_import_time=at_import_time)
    return found


def own(names: set[str]) -> set[tuple[str, ...]]:
    return {tuple(name.split(".")[1:]) for name in names if name.split(".")[0] == "rsparse"}


@dataclass(frozen=True)
class Module:
    """A module by its parts' names, with what it imports, and what of it when it is imported."""

    parts: tuple[str, ...]
    all: set[str]
    at_import_time: set[str]

    @property
    def room(self) -> str:
        return self.parts[0]


@pytest.fixture(scope="module")
def modules() -> list[Module]:
    """Every module of the package, each read once: hundreds of tests of one rule cost more."""
    parsed = {path: ast.parse(path.read_text(encoding="utf-8")) for path in PATHS}
    return [
        Module(module_of(path), imports(tree), imports(tree, at_import_time=True))
        for path, tree in parsed.items()
    ]


def test_imports_go_downwards(modules):
    assert [
        f"{'.'.join(module.parts)} imports {'.'.join(imported)}"
        for module in modules
        for imported in own(module.all)
        if RANK[imported[0] if imported[0] in RANK else "__init__"] < RANK[module.room]
    ] == []


def test_commands_do_not_import_each_other(modules):
    assert [
        f"{'.'.join(module.parts)} imports {'.'.join(imported)}"
        for module in modules
        if module.room == "commands" and module.parts[1:2] and module.parts[1] not in JOINERS
        for imported in own(module.all)
        if imported[0] == "commands" and imported[1] != module.parts[1]
    ] == []


def test_each_heavy_dependency_has_an_owner(modules):
    assert [
        f"{'.'.join(module.parts)} imports {name}"
        for module in modules
        for name in module.all
        if module.room not in OWNERS.get(name.split(".")[0], {module.room})
    ] == []


def test_options_and_commands_import_nothing_heavy(modules):
    assert [
        f"{'.'.join(module.parts)} imports {name}"
        for module in modules
        if module.room in ("cli", "options", "errors", "__main__")
        for name in module.at_import_time
        if name.split(".")[0] in HEAVY
    ] == []


def test_modules_are_found(modules):
    """Otherwise the rules above would hold for nothing."""
    assert len(modules) > 400
    assert any("numpy" in module.all for module in modules)


def test_every_heavy_dependency_has_an_owner():
    assert set(OWNERS) >= HEAVY - {"numpy"}  # which every package may use


def test_the_map_of_the_package_names_every_room_and_no_other():
    import rsparse

    named = re.findall(r"``(\w+)``", rsparse.__doc__)
    rooms = {module_of(path)[0] for path in PATHS} - {"__init__", "__main__"}
    assert sorted(named) == sorted(rooms)


def test_every_module_belongs_to_a_layer():
    assert {module_of(path)[0] for path in PATHS} <= set(RANK)


def test_tests_do_not_import_each_other():
    """What several of them need is in a module that has no tests."""
    assert [
        f"{path.stem} imports {name}"
        for path in sorted((REPOSITORY / "tests").rglob("*.py"))
        for name in imports(ast.parse(path.read_text(encoding="utf-8")))
        if name.startswith("tests.test_")
    ] == []


LOADED = """
import json, sys
from rsparse.cli import main
try:
    main()
finally:
    roots = sorted({name.split(".")[0] for name in sys.modules} & set(json.loads(%r)))
    print("LOADED", json.dumps(roots), file=sys.stderr)
"""


def commands() -> list[list[str]]:
    from rsparse.cli.app import COMMANDS

    return [
        ["--help"],
        ["--version"],
        ["model", "tag", "--help"],
        *([name, "--help"] for name in COMMANDS),
    ]


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_help_loads_nothing_heavy(arguments):
    code = LOADED % json.dumps(sorted(HEAVY))
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert result.stdout
    assert result.stderr == "LOADED []\n"
