"""Measure the top-1 accuracy of the three classifiers on the photographs, with onnxruntime.

    python -m studies.top1 --shared ../shared

The result is docs/results/classifiers.csv, with Wilson's 95 % interval and the wall time per image.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from rsparse.commands.classify import classify_images
from rsparse.evaluation.estimates import percent
from rsparse.models.spec import InputOptions
from rsparse.options.classify import ClassifyParameters
from rsparse.options.labels import LabelOptions
from studies.pages import DOCS
from studies.tables import write_rows

MODELS = {
    "mobilenet_v2_224.onnx": InputOptions(preset="mobilenet-v2"),
    "mobilenet_v1_075_192.onnx": InputOptions(preset="unit"),
    "inception_v3_299.onnx": InputOptions(preset="inception-v3"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    shared = parser.parse_args().shared
    rows = []
    for file, inputs in MODELS.items():
        start = time.perf_counter()
        outcome = classify_images(
            [shared / "photos"], shared / "models" / file, None, ClassifyParameters(), inputs,
            labels=LabelOptions(shared / "photos" / "labels.csv"),
        )  # fmt: skip
        each = 1000 * (time.perf_counter() - start) / outcome.done
        value, low, high = outcome.accuracy().numbers
        top5 = sum(row.label in row.classes[:5] for row in outcome.predictions) / outcome.done
        rows.append({
            "model": file, "top1": percent(value), "low": percent(low), "high": percent(high),
            "top5": percent(top5), "milliseconds": f"{each:.0f}",
        })  # fmt: skip
    write_rows(DOCS / "results" / "classifiers.csv", rows)


if __name__ == "__main__":
    main()
