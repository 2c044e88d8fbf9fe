"""What other purifiers inside the paper's frame would keep of strongly attacked photographs.

    python -m studies.ideas --shared ../shared --work bench-work/ideas [--only chroma]

Prototypes, beside the bilateral filter on the whole image and then sparse coding of all of it with
K = 1: other patches and dictionaries, other grids, two scales, colour apart from lightness, K by
region with regions by Sobel and by what the classifier looks at.
Attacks photographs of ``train/`` that MobileNet-v2 gets right, gray-box; nothing here sees
``photos/``. Prints a Markdown table; an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.commands.evaluate.evaluate import run_matrix
from rsparse.commands.evaluate.layout import Matrix
from rsparse.commands.learn_dict import learn_dict
from rsparse.core.attention import class_activation_map
from rsparse.core.dictionary import Dictionary
from rsparse.core.engines.cpu.coding import sparse_code
from rsparse.core.filters import bilateral, non_local_means
from rsparse.core.localization import locate_object
from rsparse.evaluation.estimates import points
from rsparse.evaluation.files import load_evaluation
from rsparse.evaluation.plan import Plan, parse_attacks, parse_defenses
from rsparse.models.onnx.classifier import Classifier, load_classifier
from rsparse.models.onnx.probes import AttentionProbe
from rsparse.options.evaluate import EvaluateParameters
from rsparse.options.learn_dict import LearnParameters
from rsparse.store.dictionaries import load_dictionary
from rsparse.store.images import decode_image
from rsparse.work.workers import LocalWorkers
from studies.plans import ATOMS, dictionary, model

ATTACKS = ("fgsm:eps=14", "bim:eps=6,14", "mi-fgsm:d=0.05", "cw-l2:d=0.1,steps=30")
REFERENCE = "K = 1"
LEARNED = {  # by what sets them apart from the default dictionary
    **{f"{b}×{b}": {"patch_size": b} for b in (6, 12, 16)},
    "256 atoms": {"n_atoms": 256},
    "grey": {"color": False},
}
STRIDE, LARGEST = 2, 0.3  # of the image's area: a region by attention

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Shown(NamedTuple):
    """An image, how it was before it was attacked, and where the classifier looks at."""

    image: Pixels
    benign: Pixels
    attention: Callable[[Pixels], Floats]


Idea = Callable[[Shown], Floats]  # (h, w, 3) in [0, 1], perhaps a little beyond


def ideas(known: Mapping[str, Dictionary]) -> Mapping[str, Idea]:
    """All that is tried, by name."""
    default, grey = known[""], known["grey"]
    one, two, four = (partial(_coded, default, sparsity=k) for k in (1, 2, 4))

    def first(idea: Callable[[Floats], Floats]) -> Idea:
        return lambda shown: idea(_filtered(shown.image))

    def by_region(inside: Callable[[Floats], Floats], region: Callable[[Shown], Mask]) -> Idea:
        def idea(shown: Shown) -> Floats:
            x = _filtered(shown.image)
            theta = cv2.GaussianBlur(region(shown).astype(np.float32), (0, 0), 2)[:, :, None]
            return theta * inside(x) + (1 - theta) * one(x)

        return idea

    def sobel(shown: Shown) -> Mask:
        return locate_object(shown.image)[0]

    def attended(shown: Shown) -> Mask:
        return _top(shown.attention(_pixels(one(_filtered(shown.image)))))

    def oracle(shown: Shown) -> Mask:
        return _top(shown.attention(shown.benign))

    patches = {
        f"patches of {b}×{b}, K = {k}": first(partial(_coded, known[f"{b}×{b}"], sparsity=k))
        for b, k in ((6, 1), (12, 2), (12, 4), (16, 4), (16, 8))
    }
    grids = {
        f"stride {stride}, K = {k}": first(partial(_coded, default, sparsity=k, stride=stride))
        for stride, k in ((1, 1), (4, 2), (8, 3))
    }
    regions = {
        f"K = 4 where {name}, else K = 1": by_region(four, region)
        for name, region in (
            ("Sobel finds the object", sobel),
            ("the classifier looks after K = 1", attended),
            ("it looked before the attack (an oracle)", oracle),
        )
    }
    return {
        REFERENCE: first(one),
        "K = 2": first(two),
        "K = 4": first(four),
        **patches,
        "256 atoms, K = 1": first(partial(_coded, known["256 atoms"], sparsity=1)),
        **grids,
        "half the size, K = 4": first(partial(_at_half, four)),
        "half the size, K = 8": first(partial(_at_half, partial(_coded, default, sparsity=8))),
        "mean of K = 1 and half the size, K = 4":
            first(lambda x: (one(x) + _at_half(four, x)) / 2),
        "chroma K = 1, lightness K = 2": first(partial(_apart, grey, 2, 1, 1)),
        **{f"chroma at a quarter of the size K = 1, lightness K = {y}":
           first(partial(_apart, grey, y, 1, 4)) for y in (2, 3)},
        **regions,
        "K = 1, coded twice": first(lambda x: one(one(x))),
        "non-local means (h = 20) first, K = 2":
            lambda shown: two(_unit(non_local_means(shown.image, 20.0))),
        "non-local means (h = 30) first, K = 4":
            lambda shown: four(_unit(non_local_means(shown.image, 30.0))),
        "the filter twice, K = 2": lambda shown: two(_filtered(_bilateral(shown.image))),
        "the filter alone": lambda shown: _filtered(shown.image),
    }  # fmt: skip


def _coded(known: Dictionary, x: Floats, *, sparsity: int, stride: int = STRIDE) -> Floats:
    coded, covered = sparse_code(x, known, sparsity, stride)
    return np.where(covered[:, :, None], coded, x)


def _at_half(code: Callable[[Floats], Floats], x: Floats) -> Floats:
    height, width = x.shape[:2]
    half = cv2.resize(x, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return _resized(code(half), width, height)


def _apart(grey: Dictionary, lightness: int, chroma: int, shrink: int, x: Floats) -> Floats:
    """Y, Cr and Cb coded by themselves, chroma at another size."""
    height, width = x.shape[:2]
    ycc = cv2.cvtColor(x, cv2.COLOR_RGB2YCrCb)
    small = cv2.resize(ycc, (width // shrink, height // shrink), interpolation=cv2.INTER_AREA)
    y = _coded(grey, np.repeat(ycc[:, :, :1], 3, axis=2), sparsity=lightness)[:, :, :1]
    colours = _resized(_coded(grey, small, sparsity=chroma), width, height)[:, :, 1:]
    return np.asarray(cv2.cvtColor(np.concatenate([y, colours], axis=2), cv2.COLOR_YCrCb2RGB))


def _resized(x: Floats, width: int, height: int) -> Floats:
    return np.asarray(cv2.resize(x, (width, height), interpolation=cv2.INTER_CUBIC))


def _top(attention: Floats) -> Mask:
    """The given share of the area where attention is largest."""
    return attention >= np.quantile(attention, 1 - LARGEST)


def _bilateral(image: Pixels) -> Pixels:
    return bilateral(image, 9, 80, 80)


def _filtered(image: Pixels) -> Floats:
    return _unit(_bilateral(image))


def _unit(image: Pixels) -> Floats:
    return image.astype(np.float32) / np.float32(255)


def _pixels(x: Floats) -> Pixels:
    return np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8)


class Judge:
    """Judges an idea on one photograph and its attacked versions; made once in a process."""

    def __init__(self, work: Path, shared: Path, images: Mapping[str, list[Path]]) -> None:
        cv2.setNumThreads(1)
        found = {name: load_dictionary(path)[0] for name, path in _known(shared, work).items()}
        self.ideas, self.images = ideas(found), images
        choice = model(shared, "mobilenet-v2")
        self.classifier: Classifier = load_classifier(choice.path, choice.input_options)
        self.probe = AttentionProbe(self.classifier)

    def predictions(self, idea: str, name: str) -> list[int]:
        """The class of each version of a photograph, the benign one first."""
        paths = self.images[name]
        versions = [decode_image(path.read_bytes(), path) for path in paths]
        cleaned = [
            _pixels(self.ideas[idea](Shown(image, versions[0], self.attention)))
            for image in versions
        ]
        return [int(row.argmax()) for row in self.classifier.logits(cleaned)]

    def attention(self, image: Pixels) -> Floats:
        """The map of the class that the classifier sees, at the image's size."""
        logits, features = self.probe.features([image])
        weights = self.probe.weights_for(int(logits[0].argmax()))
        return _resized(class_activation_map(features[0], weights), image.shape[1], image.shape[0])


_judge: Judge


def _start(work: Path, shared: Path, images: Mapping[str, list[Path]]) -> None:
    global _judge
    _judge = Judge(work, shared, images)


def _judged(idea: str, name: str) -> list[int]:
    return _judge.predictions(idea, name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder for the artifacts")
    parser.add_argument("--every", type=int, default=5, help="take every n-th photograph")
    parser.add_argument("--only", default="", help="ideas whose names hold this text")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    matrix = Matrix(_plan(options.shared, options.work, options.every))
    run_matrix(matrix, workers=LocalWorkers(options.jobs))
    found = load_evaluation(matrix.plan.output)
    images = {
        name: [matrix.folder_of(column) / f"{name}.png" for column in matrix.columns]
        for name in found.names
    }
    known = {
        name: load_dictionary(path)[0]
        for name, path in _known(options.shared, options.work).items()
    }
    names = [name for name in ideas(known) if options.only in name or name == REFERENCE]
    kept = options.work / f"ideas-{options.every}.json"
    rows = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    with get_context("spawn").Pool(
        options.jobs, _start, (options.work, options.shared, images)
    ) as pool:
        for name in names:
            if name not in rows:
                tasks = [(name, image) for image in found.names]
                rows[name] = pool.starmap(_judged, tasks, chunksize=4)
                kept.write_text(json.dumps(rows), encoding="utf-8")
                print(name, file=sys.stderr, flush=True)
    right = {name: np.array(rows[name]) == found.labels[:, None] for name in names}
    print_table([column.attack or "clean" for column in found.columns], right)


def print_table(columns: list[str], right: Mapping[str, Mask]) -> None:
    """Each idea's top-1 by column, and how its mean over attacks differs from the reference's."""
    n = len(right[REFERENCE])
    print(f"MobileNet-v2, {n} photographs that it gets right; ± is twice the standard error of the "
          "paired difference\n")  # fmt: skip
    print(f"| top-1, % | {' | '.join(columns)} | mean of attacked | to K = 1 |")
    print("|---" * (len(columns) + 3) + "|")
    means = {name: flags[:, 1:].mean(axis=1) for name, flags in right.items()}
    for name in sorted(right, key=lambda name: -means[name].mean()):
        gained = means[name] - means[REFERENCE]
        error = 2 * gained.std(ddof=1) / np.sqrt(n)
        cells = " | ".join(f"{100 * share:.0f}" for share in right[name].mean(axis=0))
        text = "" if name == REFERENCE else f"{points(gained.mean())} ± {100 * error:.1f}"
        print(f"| {name} | {cells} | {100 * means[name].mean():.1f} | {text} |")


def _plan(shared: Path, work: Path, every: int) -> Plan:
    train = shared / "train"
    return Plan(
        images=tuple(sorted(train.glob("*.jpg"))[::every]),
        labels=train / "labels.csv",
        model=model(shared, "mobilenet-v2"),
        attacks=parse_attacks(list(ATTACKS)),
        defenses=parse_defenses(["none"]),
        output=work / f"attacked-{every}",
        parameters=EvaluateParameters(checks=False),
    )


def _known(shared: Path, work: Path) -> dict[str, Path]:
    """The dictionaries, learned from every third photograph where they are missing."""
    paths = {"": dictionary(shared, work)}
    for name, differs in LEARNED.items():
        paths[name] = path = work / f"dict-{name.replace(' ', '-')}.h5"
        if not path.exists():
            values = {**ATOMS, "patches_per_image": 1800, "levels": "", **differs}
            images = sorted((shared / "train").glob("*.jpg"))[1::3]
            learn_dict(images, path, LearnParameters(**values), workers=LocalWorkers(2))
    return paths


if __name__ == "__main__":
    main()
