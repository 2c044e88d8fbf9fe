"""The compiled kernel: same bytes however it is compiled, and a quick start."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from numba import njit
from numba.core import caching

from rsparse.core.engines.cpu import numba_loops
from tests.conftest import REPOSITORY
from tests.processes import finished

DIGESTS = """
import hashlib
import numpy as np
from rsparse.core.engines.cpu.coding import sparse_code
from rsparse.core.dictionary import Dictionary
from rsparse.core.omp import omp
from rsparse.core.online import OmpLearner, unit

rng = np.random.default_rng(0)
patches = rng.standard_normal((3000, 48)).astype(np.float32)
learner = OmpLearner(unit(patches[:100]), 9)
learner.partial_fit(patches)
coded = sparse_code(rng.random((50, 60, 3), np.float32), Dictionary(learner.atoms, 4), 9, 1)[0]
for part in (*omp(patches, learner.atoms, 9, tolerance=2.0), learner.atoms, coded):
    print(hashlib.sha256(part.tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_a_fresh_compilation_and_the_cache_give_the_same_bytes(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    results = [
        subprocess.run(
            [sys.executable, "-c", DIGESTS],
            env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=True,
        ).stdout
        for _ in range(2)
    ]  # fmt: skip
    assert list((tmp_path / "cache").rglob("*.nbc"))
    assert len(results[0].splitlines()) == 4
    assert results[0] == results[1]


def test_works_where_nothing_can_be_cached(monkeypatch):
    """If numba cannot write its cache, the kernel is compiled without one."""
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])

    def double(x: int) -> int:
        return 2 * x

    assert numba_loops.compiled()(double)(21) == 42
    with pytest.raises(RuntimeError, match="no locator available"):
        njit(cache=True)(double)


def test_settings_that_numba_refuses_are_told(pictures, dict_file, tmp_path):
    code, stdout, stderr = finished(
        "purify", pictures, "-d", dict_file, "-o", tmp_path / "out",
        env={**os.environ, "NUMBA_NUM_THREADS": "0"},
    )  # fmt: skip
    assert (code, stdout) == (2, "")
    assert stderr == (
        "rsparse: error: numba cannot be used: number of threads specified must be > 0; "
        "check the environment variables that start with NUMBA_\n"
    )
