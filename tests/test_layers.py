"""Imports only go down the layers, and nothing heavy is loaded before it is needed."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "rsparse"
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))


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
    "mlflow", "captum",
})  # fmt: skip
OWNERS = {
    "mlflow": {"report"},
    "captum": {"models"},
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


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def own(names: set[str]) -> set[tuple[str, ...]]:
    return {tuple(name.split(".")[1:]) for name in names if name.split(".")[0] == "rsparse"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: ".".join(module_of(path)))
class TestModule:
    def test_imports_go_downwards(self, path):
        module = module_of(path)
        for imported in own(imports(parsed(path))):
            layer = imported[0] if imported[0] in RANK else "__init__"
            assert RANK[layer] >= RANK[module[0]], f"{'.'.join(module)} imports {imported}"

    def test_commands_do_not_import_each_other(self, path):
        module = module_of(path)
        if module[0] == "commands" and module[1:2] and module[1] not in JOINERS:
            others = {name[1] for name in own(imports(parsed(path))) if name[0] == "commands"}
            assert others <= {module[1]}

    def test_each_heavy_dependency_has_an_owner(self, path):
        for name in imports(parsed(path)):
            root = name.split(".")[0]
            assert module_of(path)[0] in OWNERS.get(root, {module_of(path)[0]}), name

    def test_options_and_commands_import_nothing_heavy(self, path):
        if module_of(path)[0] not in ("cli", "options", "errors", "__main__"):
            return
        roots = {name.split(".")[0] for name in imports(parsed(path), at_import_time=True)}
        assert not roots & HEAVY


def test_every_heavy_dependency_has_an_owner():
    assert set(OWNERS) >= HEAVY - {"numpy"}  # which every package may use


def test_the_map_of_the_package_names_every_room_and_no_other():
    import rsparse

    named = re.findall(r"``(\w+)``", rsparse.__doc__)
    rooms = {module_of(path)[0] for path in MODULES} - {"__init__", "__main__"}
    assert sorted(named) == sorted(rooms)


def test_every_module_belongs_to_a_layer():
    assert {module_of(path)[0] for path in MODULES} <= set(RANK)


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
