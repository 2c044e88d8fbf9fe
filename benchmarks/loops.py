"""What the compiled loops of the extra ``fast`` save, compared with NumPy's.

    python benchmarks/loops.py [--shared ../shared] [--write]

With ``--write`` the table goes into docs/install.md. The figures are medians of interleaved runs
on one core, in CPU time; numba's compilation, which happens once, is measured apart.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import measure
import photographs

from rsparse import LearnParameters, PurifyParameters, learn_dictionary, purify_batch
from rsparse.core.engines.cpu import loops
from rsparse.report.markdown_tables import table_text

PAGE = Path(__file__).resolve().parent.parent / "docs" / "install.md"
IMAGES, ROUNDS = 5, 5
_BLOCK = re.compile(r"(<!-- loops -->\n).*?(<!-- end of loops -->)", re.DOTALL)
_FIRST = """
from rsparse import purify
from rsparse.data import demo_photos
from PIL import Image
import numpy as np
purify(np.asarray(Image.open(next(demo_photos("test").rglob("*.png")))))
"""


def main() -> None:
    """Measure, and print or write the table."""
    parser = measure.parser(__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/install.md")
    options = parser.parse_args()
    measure.pin()
    images = photographs.photographs(options.shared, IMAGES)
    paper, learn = PurifyParameters(sparsity=2), LearnParameters()
    works: dict[str, Callable[[], object]] = {
        "`purify`, default policy": lambda: purify_batch(images),
        "`purify --sparsity 2`": lambda: purify_batch(images, parameters=paper),
        "`learn-dict`": lambda: learn_dictionary(images, learn),
    }
    rows = []
    for name, work in works.items():
        compiled, numpy = _seconds(work)
        each = [f"{1e3 * seconds / IMAGES:.0f}" for seconds in (compiled, numpy)]
        rows.append([name, *each, f"{numpy / compiled:.1f}×"])
    table = table_text(["CPU-ms a photograph", "`fast`", "NumPy", "ratio"], rows)
    text = (
        f"\n{table}\n\nFor {photographs.source(options.shared)}. numba compiles on first use, once "
        f"for each installation: {_compilation():.0f} CPU-s before the first image.\n\n"
    )
    print(text)
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(_BLOCK.sub(lambda m: m[1] + text + m[2], page), encoding="utf-8")


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds with the compiled loops and with NumPy's."""

    def by_numpy() -> float:
        with patch.object(loops, "fastest", loops.NUMPY):
            return measure.cpu(work)()

    found = measure.interleaved({"numba": measure.cpu(work), "numpy": by_numpy}, ROUNDS)
    return found["numba"], found["numpy"]


def _compilation() -> float:
    """CPU seconds that a process takes to purify one image with an empty cache, beyond a full."""
    with tempfile.TemporaryDirectory() as folder:
        with patch.dict(os.environ, NUMBA_CACHE_DIR=folder):
            first, second = (measure.child_cpu([sys.executable, "-c", _FIRST])[0] for _ in "12")
    return first - second


if __name__ == "__main__":
    main()
