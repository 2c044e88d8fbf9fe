"""The fused kernels in Triton's interpreter, compared with torch's operations (no GPU needed)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("triton")

PURSUIT = """
import json, sys
import numpy as np
import torch
from rsparse.core.engines.torch import pursuit
from rsparse.core.engines.triton import pursuit as fused

k, m, sparsity, min_correlation, n = json.loads(sys.argv[1])
rng = np.random.default_rng(0)
atoms = rng.standard_normal((k, m))
atoms = (atoms / np.linalg.norm(atoms, axis=1, keepdims=True)).astype(np.float32)
signals = rng.standard_normal((n, m)).astype(np.float32)
signals[0], signals[1] = 0, 3 * atoms[4]
correlations, gram = torch.from_numpy(signals @ atoms.T), torch.from_numpy(atoms @ atoms.T)
chosen, codes = fused.pursue(correlations, gram, sparsity, min_correlation)
expected, expected_codes = pursuit.pursue(correlations.clone(), gram, sparsity, min_correlation)
same = (chosen == expected).all(0)
print(json.dumps({
    "same": same.float().mean().item(),
    "apart": (codes - expected_codes)[:, same].abs().max().item(),
    "zero": codes[:, 0].abs().max().item(),
    "alone": codes[:, 1].tolist(),
}))
"""
BANDS = """
import json, sys
import torch
from rsparse.core.engines.torch import decoding
from rsparse.core.engines.triton.bands import bands
from rsparse.core.engines.torch.grids import Grid

channels, b, width, stride, sparsity = json.loads(sys.argv[1])
where, (layers, k, m) = Grid.over((b + 5, width), b, stride), (2, 20, b * b * channels)
torch.manual_seed(0)
tables = decoding.Tables(torch.randn(k, m), torch.rand(layers, m), torch.randn(layers, m))
rows = torch.randint(k, (layers, len(where), sparsity + 1), dtype=torch.int32)
rows[..., -1] = k
coded = (torch.rand(layers, len(where), 1) < 0.7).float()
weights = torch.cat([torch.randn(layers, len(where), sparsity) * coded, coded], dim=2)
expected = decoding.coded_bands(tables, rows, weights, where, b, width)
found = bands(tables, rows, weights, where, b, width)
print(json.dumps({"shape": found.shape == expected.shape,
                  "apart": (found - expected).abs().max().item()}))
"""
BILATERAL = """
import json, sys
import torch
from rsparse.core.engines.torch import filters
from rsparse.core.engines.triton.bilateral import bilateral

height, width, diameter = json.loads(sys.argv[1])
torch.manual_seed(0)
images = torch.randint(256, (2, 3, height, width)).float()
found = bilateral(images, diameter, 80.0, 3.0)
expected = filters.bilateral(images, diameter, 80.0, 3.0)
print(json.dumps({"apart": (found - expected).abs().max().item(),
                  "same": (found == expected).float().mean().item()}))
"""
PATCHES = """
import json, sys
import torch
from rsparse.core.engines.torch import patches
from rsparse.core.engines.triton.patches import take
from rsparse.core.engines.torch.grids import Grid

channels, b, width, stride = json.loads(sys.argv[1])
where, x = Grid.over((b + 5, width), b, stride), torch.rand(b + 5, width, channels)
place = torch.randperm(len(where))[: max(1, len(where) - 3)]
found = take(x, place, where, b)
print(json.dumps(bool((found == patches.take(x, place, where, b)).all())))
"""
SIGNALS = {
    "colour patches": (256, 192, 5, 0.0, 60),
    "as many atoms as no power of two": (100, 48, 3, 0.0, 50),
    "weak atoms end a code": (64, 30, 16, 1.0, 60),
    "one atom": (20, 12, 1, 0.0, 33),
    "more steps than dimensions": (9, 3, 6, 0.0, 40),
}
GRIDS = {
    "every pixel": (3, 8, 70, 1, 2),
    "steps that end beside the border": (3, 8, 45, 5, 3),
    "side by side": (3, 8, 41, 8, 1),
    "gaps": (1, 4, 33, 6, 2),
    "grey, one patch": (1, 5, 5, 2, 1),
}


def mostly_slow(cases: Iterable[Any], ids: Iterable[str] | None = None) -> list[Any]:
    """The cases as parameters; all but the first are marked slow, as each starts a process."""
    named = zip(cases, ids or map(str, cases), strict=True)
    return [
        pytest.param(case, id=name, marks=[pytest.mark.slow] if place else [])
        for place, (case, name) in enumerate(named)
    ]


def interpreted(script: str, case: tuple[float, ...]) -> Any:
    """Run a script in its own process, as Triton enables its interpreter at import."""
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(case)],
        capture_output=True, text=True, check=True, env={**os.environ, "TRITON_INTERPRET": "1"},
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", mostly_slow(SIGNALS.values(), SIGNALS))
def test_the_same_codes_as_step_by_step(case):
    found = interpreted(PURSUIT, case)
    assert found["same"] >= 0.99
    assert found["apart"] < 2e-5
    assert found["zero"] == 0
    assert found["alone"][0] == pytest.approx(3, abs=1e-5)
    assert all(abs(weight) < 1e-5 for weight in found["alone"][1:])


@pytest.mark.parametrize("case", mostly_slow(GRIDS.values(), GRIDS))
def test_the_same_bands_as_from_patches(case):
    found = interpreted(BANDS, case)
    assert found["shape"]
    assert found["apart"] < 2e-5


@pytest.mark.parametrize("case", mostly_slow([(3, 8, 30, 1), (3, 8, 30, 5), (1, 5, 5, 2)]))
def test_the_same_patches(case):
    assert interpreted(PATCHES, case)


@pytest.mark.parametrize("case", mostly_slow([(20, 33, 5), (3, 7, 9), (1, 5, 3)]))
def test_the_same_filter(case):
    found = interpreted(BILATERAL, case)
    assert found["apart"] <= 1
    assert found["same"] > 0.99
