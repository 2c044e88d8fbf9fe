"""The pictures of docs/understand/method.md: a script draws them all, and they are small."""

from __future__ import annotations

import re
from pathlib import Path

import method_pictures
import numpy as np
import pytest
from PIL import Image

from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "understand" / "method.md").read_text(encoding="utf-8")
COMMITTED = {path.name: path for path in method_pictures.PICTURES.iterdir()}


def test_pictures_are_small_and_shown() -> None:
    sizes = [path.stat().st_size for path in COMMITTED.values()]
    assert max(sizes) <= method_pictures.LARGEST
    assert sum(sizes) <= 6 * method_pictures.LARGEST
    assert set(re.findall(r"pictures/method/([\w.]+)", PAGE)) == set(COMMITTED)


@pytest.mark.slow
@pytest.mark.usefixtures("one_torch_core")
def test_the_script_draws_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("foolbox")
    monkeypatch.setattr(method_pictures, "PICTURES", tmp_path)
    method_pictures.main()
    assert {path.name for path in tmp_path.iterdir()} == set(COMMITTED)
    for name, path in COMMITTED.items():
        drawn, committed = (
            np.asarray(Image.open(place), float) for place in (tmp_path / name, path)
        )
        assert drawn.shape == committed.shape, "run scripts/method_pictures.py"
        # an attack may differ by single grey levels on another processor
        assert np.abs(drawn - committed).mean() < 8, "run scripts/method_pictures.py"
