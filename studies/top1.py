"""Top-1 accuracy of the three classifiers on the photographs, through onnxruntime.

    python -m studies.top1 --shared ../shared

Prints a Markdown table with Wilson's 95 % interval and the wall time of an image.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from rsparse.commands.classify import classify_images
from rsparse.models.spec import InputOptions
from rsparse.options.classify import ClassifyParameters

MODELS = {
    "mobilenet_v2_224.onnx": InputOptions(preset="mobilenet-v2"),
    "mobilenet_v1_075_192.onnx": InputOptions(preset="unit"),
    "inception_v3_299.onnx": InputOptions(preset="inception-v3"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    shared = parser.parse_args().shared
    print("| model | top-1 | 95 % interval | top-5 | ms an image |")
    print("|---|---|---|---|---|")
    for file, wants in MODELS.items():
        start = time.perf_counter()
        outcome = classify_images(
            [shared / "photos"], shared / "models" / file, None, ClassifyParameters(), wants,
            labels=shared / "photos" / "labels.csv",
        )  # fmt: skip
        each = 1000 * (time.perf_counter() - start) / outcome.done
        value, low, high = outcome.accuracy()
        top5 = sum(row.label in row.classes[:5] for row in outcome.predictions) / outcome.done
        print(f"| {file} | {value:.1%} | {low:.1%} to {high:.1%} | {top5:.1%} | {each:.0f} |")


if __name__ == "__main__":
    main()
