"""A run writes nothing to the home folder except the documented caches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.onnx_models import four_animals

RUNS = """
import sys
from rsparse.cli import app
for words in (
    ["activations", "imgs", "imgs", "-m", "m.onnx", "-o", "a.h5", "--plot", "a.png"],
    ["verify", "."],
):
    try:
        app(words)
    except SystemExit as end:
        assert not end.code, words
"""


def test_a_run_writes_only_the_documented_caches(tmp_path: Path, pictures: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    four_animals(tmp_path / "m.onnx")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    subprocess.run(
        [sys.executable, "-c", RUNS],
        cwd=tmp_path,
        env={**kept, "HOME": str(home), "PYTHONPATH": str(REPOSITORY)},
        check=True,
    )
    written = {path.relative_to(home) for path in home.rglob("*") if path.is_file()}
    assert {path.parent.as_posix() for path in written} <= {
        ".cache/matplotlib", ".config/matplotlib",
    }  # fmt: skip


def test_the_documents_name_the_caches() -> None:
    text = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
    assert "`~/.cache/matplotlib`" in text
