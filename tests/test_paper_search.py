"""The search for settings: what is declared, how it chooses, and that it can be repeated."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from rsparse.store.images import encode_png
from studies import plans
from studies.paper import search
from studies.paper.figures import form
from studies.paper.space import REGIONS, Rung, load_space
from studies.tables import read_rows
from tests.conftest import REPOSITORY, make_picture, tree_of

SPACE = load_space()


def test_at_least_300_different_settings_are_declared_and_the_paper_s_form_is_one():
    settings = SPACE.settings()
    assert len(settings) == len(set(settings)) == SPACE.n_settings >= 300
    assert settings == SPACE.settings()
    assert replace(SPACE, seed=1).settings() != settings
    assert settings[0] == SPACE.paper
    assert len({(s.dictionary, s.defense) for s in settings}) == len(settings)
    for name, values in SPACE.axes.items():
        used = Counter(getattr(setting, name) for setting in settings)
        assert set(used) == set(values), name
        assert min(used.values()) >= len(settings) / len(values) / 4, name


def test_a_setting_is_the_method_with_these_parameters():
    setting = replace(
        SPACE.paper, patch_size=12, overlap=4, sparsity=3, region="whole", filter="before"
    )
    assert setting.defense.stride == 3
    assert (setting.defense.sparsity, setting.defense.localize, setting.defense.prefilter) == (
        3, False, True,
    )  # fmt: skip
    assert setting.dictionary == "b12-k256-grey-h10"
    assert (setting.learning.patch_size, setting.learning.color) == (12, False)
    assert replace(setting, smoothing_h=0).learning.smoothing is False
    assert set(SPACE.axes["region"]) == set(REGIONS)
    around_nothing = replace(setting, filter="around", sigma_color=30).canonical()
    assert around_nothing == replace(setting, filter="none", sigma_color=80.0)


def test_the_paper_s_form_is_that_of_the_policy():
    assert replace(SPACE.paper.defense, dictionary="") == form()
    assert SPACE.paper.color is False


def test_the_best_of_each_column_and_of_the_mean_remain():
    columns = ("clean", "a", "b")
    means = np.array([
        [0.9, 0.0, 0.1],  # the best clean one, and the worst otherwise
        [0.1, 0.4, 0.4],
        [0.2, 0.5, 0.2],
        [0.3, 0.1, 0.5],
        [0.8, 0.4, 0.4],  # as good as the second, but later
    ])  # fmt: skip
    assert search.survivors(means, columns, Rung(1, 1)) == [0, 2, 3]
    assert search.survivors(means, columns, Rung(1, 4)) == [0, 1, 2, 3]
    assert search.attacked_mean(means, columns).tolist() == pytest.approx(
        [0.05, 0.4, 0.35, 0.3, 0.4]
    )


@pytest.fixture
def shared(tmp_path, monkeypatch) -> Path:
    """Photographs and a small network in a folder like ``../shared``."""
    folder = tmp_path / "shared"
    (folder / "models").mkdir(parents=True)
    shutil.copy(REPOSITORY / "fixtures" / "colours.onnx", folder / "models" / "a.onnx")
    monkeypatch.setitem(plans.MODELS, "a", ("a.onnx", "unit"))
    for part, numbers in (("photos", range(8)), ("train", range(8, 32))):
        (folder / part).mkdir()
        rows = ["file,label"]
        for number in numbers:
            pixels = make_picture(number, 16, 16) // 2
            pixels[..., number % 3] += 60
            (folder / part / f"{number}.png").write_bytes(encode_png(pixels))
            rows.append(f"{number}.png,{number % 3}")
        (folder / part / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def searched(shared: Path, tmp_path: Path, monkeypatch, name: str, jobs: int) -> dict[str, bytes]:
    """Run the search on few settings with small dictionaries, and return its tables."""
    space = load_space(fast=True)
    axes = {**space.axes, "patch_size": [4], "n_atoms": [32], "smoothing_h": [0]}
    paper = replace(space.paper, patch_size=4, n_atoms=32, smoothing_h=0)
    rungs = (Rung(1, 5, ("clean", "fgsm-eps=14")), Rung(2, 1))
    small = replace(space, n_settings=12, axes=axes, paper=paper, rungs=rungs)
    monkeypatch.setattr(search, "load_space", lambda fast: small)
    monkeypatch.setattr(search, "LEARNED", slice(0, None, 2))
    monkeypatch.setattr(search, "CHOOSING", slice(1, None, 2))
    monkeypatch.setattr(search, "N_CHUNKS", 3)
    monkeypatch.setattr(search, "JUDGED_CHUNKS", 2)
    monkeypatch.setattr(search, "TABLE_TWO_STRENGTHS", ("fgsm:eps=14,22",))
    monkeypatch.setattr(search, "paper_table", lambda: {
        "RegionSparse": {"clean": "84", "fgsm-eps=14": "60", "fgsm-eps=22": "55"},
    })  # fmt: skip
    words = ("--shared", shared, "--work", tmp_path / name, "--model", "a", "--jobs", jobs,
             "--docs", tmp_path / f"{name}-docs")  # fmt: skip
    monkeypatch.setattr("sys.argv", ["search", *map(str, words)])
    search.main()
    return tree_of(tmp_path / f"{name}-docs")


@pytest.mark.slow
def test_a_search_can_be_repeated_and_continued(shared, tmp_path, monkeypatch):
    tables = searched(shared, tmp_path, monkeypatch, "one", jobs=1)
    place = tmp_path / "one-docs" / "results" / "paper"
    rows = read_rows(place / "search.csv")
    assert len(rows) == 12
    assert Counter(row["rung"] for row in rows)["1"] >= 5
    assert all(row["fgsm-eps=22"] == "" for row in rows if row["rung"] == "1")
    chosen = read_rows(place / "search-chosen.csv")
    assert [row["column"] for row in chosen] == ["clean", "fgsm-eps=14", "fgsm-eps=22", "mean"]
    for row in chosen[:3]:
        assert float(row["low"]) <= float(row["best"]) <= float(row["high"])
    furthest = {(row["dictionary"], row["defense"]) for row in rows if row["rung"] == "2"}
    assert {(row["dictionary"], row["defense"]) for row in chosen} <= furthest

    with monkeypatch.context() as patch:
        patch.setattr(search.Photographs, "_attack", None)  # nothing is attacked or judged again
        patch.setattr(search.Photographs, "_is_right", None)
        assert searched(shared, tmp_path, monkeypatch, "one", jobs=1) == tables
    assert searched(shared, tmp_path, monkeypatch, "two", jobs=2) == tables
