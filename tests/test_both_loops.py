"""Images that compiled loops clean, and those that NumPy's do: equal up to rounding and ties."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse import defend
from rsparse.core.engines.cpu import loops
from rsparse.data import demo_photos
from rsparse.store import job
from rsparse.store.finding import find_images
from rsparse.store.folders import read_manifest
from rsparse.store.images import decode_image, encode_png
from rsparse.store.job import Job
from rsparse.store.records import IMAGES, PREDICTIONS

DEFENSES = (
    "regionsparse:sparsity=1",
    "regionsparse:sparsity=12,localize=no,prefilter=yes",
    "policy:default",
    "nlm",
    "tv",
    "tvm",
    "bilateral",
)


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    (file, *_) = find_images([demo_photos("test")])
    photograph = decode_image(file.read(), file.path)[:96, :96]
    noise = np.random.default_rng(0).normal(0, 3, photograph.shape)
    return np.clip(np.rint(photograph + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("defense", DEFENSES)
def test_both_clean_an_image_alike_up_to_rounding_and_ties(defense, photograph, monkeypatch):
    if loops.NUMBA is None:
        pytest.skip("numba is not installed")
    cleaned = []
    for each in (loops.NUMBA, loops.NUMPY):
        monkeypatch.setattr(loops, "fastest", each)
        cleaned.append(defend(photograph[None], defense, device="cpu")[0].astype(int))
    assert (cleaned[0] != photograph).any()
    apart = np.abs(cleaned[0] - cleaned[1])
    assert (apart > 0).mean() < 0.01
    assert (apart > 1).mean() < 0.001


def test_a_record_tells_of_loops_that_are_not_compiled(run_cli, tmp_path, photograph, monkeypatch):
    """What one of them began, the other does not continue, nor takes for its own."""
    monkeypatch.setattr(job, "has_compiled_loops", lambda: False)
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    (photos / "a.png").write_bytes(encode_png(photograph))
    assert run_cli("purify", photos, "-o", out).exit_code == 0
    record = read_manifest(out)
    assert record["parameters"]["loops"] == "numpy"
    assert "loops = numpy" in run_cli("show", out).stdout
    by_numpy = Job("purify", IMAGES, {})
    classified = Job("classify", PREDICTIONS, {}).identity()
    assert "loops" not in classified["parameters"]
    recorded, begun = by_numpy.record(()).as_json(), by_numpy.identity()
    assert by_numpy.matches(recorded, ())
    monkeypatch.setattr(job, "has_compiled_loops", lambda: True)
    assert not by_numpy.matches(recorded, ())
    assert by_numpy.identity() != begun
    assert Job("classify", PREDICTIONS, {}).identity() == classified
