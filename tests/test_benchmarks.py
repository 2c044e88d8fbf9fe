"""The benchmarks run to completion on small inputs."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from rsparse.core.engines.cpu.coding import sparse_code
from rsparse.store.images import to_unit
from tests.conftest import REPOSITORY, make_picture


def printed(script: str, *options: object) -> str:
    """Output of a benchmark run with warnings as errors."""
    command = [sys.executable, "-W", "error", REPOSITORY / "benchmarks" / script, *options]
    run = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return run.stdout


def test_the_peer_s_engine_fits_into_the_pipeline(monkeypatch, small_dictionary):
    """With scikit-learn's pursuit instead of ours, a whole image gets the same code."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    from peers import scikit_engine

    x = to_unit(make_picture(0, 40, 40))
    ours, _ = sparse_code(x, small_dictionary, 3, 4)
    with scikit_engine():
        theirs, _ = sparse_code(x, small_dictionary, 3, 4)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_peer_s_pursuit_is_the_one_that_purify_runs(monkeypatch, small_dictionary):
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import peers

    from rsparse.core.regionsparse import purify

    asked = []
    codes = peers.scikit_codes
    monkeypatch.setattr(peers, "scikit_codes", lambda *a: asked.append(len(a[0])) or codes(*a))
    purify(make_picture(0, 40, 40), small_dictionary)
    assert not asked
    with peers.scikit_engine():
        purify(make_picture(0, 40, 40), small_dictionary)
    assert asked


@pytest.mark.slow
def test_gpu_counts_and_measures_on_torchs_cpu():
    pytest.importorskip("torch")
    text = printed("gpu.py", "--device", "torch-cpu", "--images", 2, "--side", 40, "--runs", 1)
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("|")]
    assert [row[0].strip("| ") for row in rows if "-" not in row[0][:5]] == [
        "case", "whole image", "whole image, stride 2, K = 2",
        "object region and filter, K = 2", "step, at stride 1 and K = 5", "take patches",
        "correlations", "pursuit", "put back", "bilateral filter",
    ]  # fmt: skip
    correlations = next(row for row in rows if row[0].endswith("correlations"))
    assert float(correlations[1]) == pytest.approx(2 * 192 * 256 * 33**2 / 1e9, rel=0.01)
    assert "the limit is" in text
    assert "are within one grey level" in text


def test_gpu_says_where_there_is_none():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        text = printed("gpu.py")
        assert text == "There is no GPU here; --device torch-cpu measures torch on the CPU.\n"


def test_every_script_finds_what_it_imports():
    pytest.importorskip("torch")
    pytest.importorskip("foolbox")
    names = [
        f"{folder}.{path.stem}" if folder == "studies" else path.stem
        for folder in ("benchmarks", "studies")
        for path in sorted((REPOSITORY / folder).glob("*.py"))
    ]
    code = f"import importlib\nfor name in {names}: importlib.import_module(name)"
    folders = os.pathsep.join(str(REPOSITORY / folder) for folder in ("", "benchmarks"))
    environment = {**os.environ, "PYTHONPATH": folders}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


PRINTED = """### One

| a | b |
| --- | --- |
| x | 1 |

- **met**: speed, x: 3.00, wanted ≥ 2
- **missed**: memory: 700, wanted ≤ 600

Words.
"""


def test_a_report_goes_on_where_an_earlier_one_ended(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import report

    text, targets = report.split(PRINTED)
    assert text.endswith("| x | 1 |\n\nWords.")
    assert targets == ("met: speed, x: 3.00, wanted ≥ 2", "missed: memory: 700, wanted ≤ 600")
    sections = {
        "Memory": report.Section("benchmarks/memory.py --full", "a machine", text, targets),
        "Sparse coding": report.Section("benchmarks/kernel.py", "another", "Words.", targets[:1]),
    }
    path = tmp_path / "report.md"
    report.write(path, sections)
    page = path.read_text(encoding="utf-8")
    assert "2 of 3 targets are met; these are not:\n\n- missed: memory: 700, wanted ≤ 600\n" in page
    assert page.index("## Sparse coding") < page.index("## Memory")
    assert "`benchmarks/kernel.py` on machine A\n" in page
    assert page.endswith("## Machines\n\n- A: another\n- B: a machine\n")
    assert report.sections_of(path) == sections
    committed = REPOSITORY / "docs" / "benchmarks.md"
    assert report.page(report.sections_of(committed)) == committed.read_text(encoding="utf-8")
