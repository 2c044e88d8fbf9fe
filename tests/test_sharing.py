"""Evaluations in the benchmarks that share attacked images make them only once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_evaluate_command import arguments, make_images

pytest.importorskip("torch")


def inodes(folder: Path) -> dict[Path, int]:
    return {path.relative_to(folder): path.stat().st_ino for path in folder.rglob("*.png")}


def test_another_evaluation_takes_up_what_was_linked(tmp_path, run_cli, monkeypatch):
    from studies.sharing import share_images

    images, first, second = make_images(tmp_path / "imgs"), tmp_path / "first", tmp_path / "second"
    assert run_cli(*arguments(images, first)).exit_code == 0
    half_linked = second / "attacks" / "colours" / "bim-eps=8.part"
    half_linked.mkdir(parents=True)
    (half_linked / "00.png").touch()
    share_images(first, second)
    assert inodes(second) == inodes(first)
    assert run_cli(*arguments(images, second, "--defense", "median")).exit_code == 0
    assert inodes(second) == inodes(first)
    assert len(list((second / "trials" / "clean").iterdir())) == 4
