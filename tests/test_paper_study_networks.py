"""``make paper`` from nothing: networks with random weights from a local hub, and photographs.

timm's small networks stand for the paper's, whose export ``test_fetch_inception.py`` tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from rsparse.models.onnx.classifier import load_classifier
from rsparse.options.learn_dict import LearnParameters
from rsparse.store.images import encode_png
from studies import inception_activations
from studies.paper import __main__ as program
from studies.paper import figures, photographs, run
from studies.paper.photographs import identified_names
from studies.tables import read_rows
from tests.conftest import make_picture, tree_of
from tests.hub_server import HubServer, serving

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("timm")]
PICTURES = 7
CAST = figures.Cast(
    "test_resnet.r160_in1k",
    ("test_efficientnet.r160_in1k", "test_byobnet.r160_in1k"),
    "test_convnext.r160_in1k",
)


@pytest.fixture
def hub(timm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A local hub with random weights of the paper's networks, and an empty cache."""
    from huggingface_hub import constants
    from safetensors.torch import save

    from rsparse.models.zoo.networks import build_network, find_model

    with serving(b"") as server:
        for seed, name in enumerate(CAST.all):
            network = build_network(find_model(name), None, seed)
            server.others[f"timm/{name}"] = save(network.state_dict())
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield server


def test_from_nothing_to_the_page(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Networks and photographs in subfolders of identifiers; few attacks and no ComDefend."""
    small = LearnParameters(n_atoms=16, patches_per_image=30, color=False, smoothing=False)
    for module in (figures, run):
        monkeypatch.setattr(module, "DICTIONARIES", dict.fromkeys(figures.DICTIONARIES, small))
    for name in ("ALL_STRENGTHS", "TABLE_TWO_STRENGTHS", "TRANSFERRED"):
        monkeypatch.setattr(figures, name, ("fgsm:eps=22",))
    monkeypatch.setattr(program, "OF_PAPER", CAST)
    monkeypatch.setattr(inception_activations, "STRIPS", ())
    monkeypatch.setattr(run, "SHOWN_PHOTOS", 1)
    monkeypatch.setattr(photographs, "_TRIED", 2)
    images, work = tmp_path / "val", tmp_path / "work"
    images.mkdir()

    def made(*words: object) -> tuple[int, str]:
        given = ("--images", images, "--work", work, "--photographs", 2, "--training", 3,
                 "--jobs", 1, "--device", "cpu", "--without", "comdefend", *words)  # fmt: skip
        monkeypatch.setattr("sys.argv", ["studies.paper", *map(str, given)])
        return program.main(), capsys.readouterr().err

    status, told = made("--dry-run")
    assert status == 0
    assert told.startswith(f"to fetch once: {', '.join(CAST.all)} (")
    assert not work.exists()

    from studies.paper.networks import fetch_missing, path_of

    fetch_missing(work, CAST.all)
    downloads = hub.downloads
    classifier = load_classifier(path_of(work, CAST.judged))
    for seed in range(PICTURES):
        pixels = make_picture(seed, 160, 160)
        label = int(classifier.logits([pixels]).argmax())
        place = images / identified_names()[label].split()[0]
        place.mkdir(exist_ok=True)
        (place / f"ILSVRC2012_val_{seed:08d}.png").write_bytes(encode_png(pixels))

    status, told = made()
    assert status == 0, told
    page = (work / "docs" / "paper-figures.md").read_text()
    for heading in ("Fig. 1", "Fig. 4", "Fig. 5", "Fig. 8", "Table II"):
        assert f"## {heading}" in page
    tables = work / "docs" / "results" / "paper"
    sources = {row["scenario"] for row in read_rows(tables / "transfer" / "accuracy.csv")}
    assert sources == {f"transfer: {name}" for name in CAST.sources}
    cells = {(r["row"], r["attack"]): r["mark"] for r in read_rows(tables / "table-two/cells.csv")}
    assert len(cells) == 52
    measured = {row for (row, attack), mark in cells.items() if mark != "open"}
    assert len(measured) == 4
    assert (work / "parts" / "figure-1" / "cams").is_dir()
    assert hub.downloads == downloads  # the networks are fetched once

    before = tree_of(work)
    status, told = made("--dry-run")
    assert "all: about 0 min" in told
    assert made()[0] == 0
    after = tree_of(work)
    assert {name for name in before if after[name] != before[name]} <= {
        name for name in before if "/figure-1/" in name
    }
