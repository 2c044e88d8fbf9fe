"""Dictionary learning compared with scikit-learn and SPAMS; smoothing compared with OpenCV.

    python benchmarks/learner.py [--shared ../shared] [--full]

CPU time of one thread. The error is relative and squared, of other patches that the finished
dictionary codes by OMP, as purifying does.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import measure
import numpy as np
import peers
import photographs

from rsparse.core.learning import DictionaryLearner, standardized, take_patches
from rsparse.core.non_local import non_local_means, non_local_patches
from rsparse.core.omp import omp, reconstruct
from rsparse.core.online import LassoLearner, OmpLearner, OnlineLearner, unit
from rsparse.options.learn_dict import LearnParameters
from rsparse.report.markdown_tables import table_text
from rsparse.store.images import Pixels, decode_image, encode_png
from rsparse.work.workers import usable_cores

PATCHES, HELD_OUT, ATOMS = 100_000, 10_000, 256
SPARSITIES = (1, 2, 5, 10)
DEFAULTS = LearnParameters()


def main() -> None:
    options = measure.parser(__doc__).parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    images = photographs.photographs(options.shared, 1000, "train")
    whole_command(images, options.work, real=options.shared is not None)
    smoothing(images[:10])
    learners(images, options.work, options.shared)


def smoothing(images: list[Pixels]) -> None:
    """Non-local means of photographs, compared with OpenCV's, both in one thread."""
    measure.pin()
    n, b = DEFAULTS.patches_per_image, DEFAULTS.patch_size
    rng = np.random.default_rng(0)
    corners = [
        np.stack([rng.integers(side - b + 1, size=n) for side in image.shape[:2]], axis=1)
        for image in images
    ]
    how = (DEFAULTS.smoothing_h, DEFAULTS.smoothing_patch, DEFAULTS.smoothing_window)

    def patches() -> None:
        for image, some in zip(images, corners, strict=True):
            non_local_patches(image, some, b, *how)

    def whole(weights: str) -> Callable[[], object]:
        return lambda: [non_local_means(image, *how, weights) for image in images]

    work = {
        "OpenCV, all pixels": whole("opencv"),
        "ours, all pixels": whole("squared"),
        f"ours, the pixels of {n} patches": patches,
    }
    clocks = {name: measure.cpu(each) for name, each in work.items()}
    seconds = measure.interleaved(clocks, rounds=5)
    theirs, ours, chosen = seconds.values()
    height, width = images[0].shape[:2]
    print(
        f"### Non-local means\n\n{len(images)} photographs of {width}×{height}, colour, h = "
        f"{how[0]:g}, patches of {how[1]}×{how[1]} in a window of {how[2]}×{how[2]}, one thread.\n"
    )
    rows = [[name, f"{1000 * value / len(images):.1f}", f"{theirs / value:.1f}×"]
            for name, value in seconds.items()]  # fmt: skip
    print(table_text(["implementation", "CPU ms an image", "as fast as OpenCV"], rows))
    print(measure.target("OpenCV / ours, all pixels, CPU time", theirs / ours, 2, at_least=True))
    print(measure.target("OpenCV / ours, chosen pixels, CPU time", theirs / chosen, 5,
                         at_least=True))  # fmt: skip
    print()


def learners(images: list[Pixels], work: Path, shared: Path | None) -> None:
    everything = photographs.patches(images, PATCHES + HELD_OUT, color=True, seed=1)
    signals, held_out = everything[:PATCHES], everything[PATCHES:]
    start = unit(signals[np.random.default_rng(0).permutation(PATCHES)[:ATOMS]])
    batch, k, penalty = DEFAULTS.batch_size, DEFAULTS.atoms_per_patch, DEFAULTS.l1_penalty
    learned = {
        **{f"ours, OMP with K={s}": _fit(OmpLearner(start, s), signals) for s in SPARSITIES},
        f"scikit-learn, lasso (lars), β={penalty:g}":
            _fit(LassoLearner(start, penalty, "lars", 0), signals),
        **_spams(work, signals, start, {
            f"SPAMS, at most K={k} atoms": {"mode": 3, "penalty": k},
            f"SPAMS, lasso, β={penalty:g}": {"mode": 2, "penalty": penalty},
        }),
    }  # fmt: skip
    ours, scikit, theirs = (
        [name for name in learned if name.startswith(who)]
        for who in (f"ours, OMP with K={k}", "scikit-learn", "SPAMS")
    )
    unit_of_time = learned[ours[0]][0]
    errors = {name: _errors(atoms, held_out) for name, (_, atoms) in learned.items()}
    rows = [
        [name, f"{seconds:.2f}", f"{seconds / unit_of_time:.1f}×",
         *(f"{100 * error:.2f}" for error in errors[name])]
        for name, (seconds, _) in learned.items()
    ]  # fmt: skip
    print(
        f"### Learning from {PATCHES:,} patches\n\nColour patches of 8×8 of "
        f"{photographs.source(shared)}, not smoothed, k={ATOMS}. Each learner makes one pass in "
        f"batches of {batch} from the same initial atoms; SPAMS draws its own batches. The first "
        f"column names the objective. The last columns give the error on {HELD_OUT:,} other "
        "patches, in % of their energy, by the K of the coding.\n"
    )
    columns = ["learner and objective", "CPU-s", f"/ ours, K={k}", *(f"K={s}" for s in SPARSITIES)]
    print(table_text(columns, rows))
    print(measure.target(f"scikit-learn / ours (K={k}), CPU time",
                         learned[scikit[0]][0] / unit_of_time, 15, at_least=True,
                         digits=0))  # fmt: skip
    for place, s in enumerate(SPARSITIES):
        ratio = errors[f"ours, OMP with K={s}"][place] / errors[scikit[0]][place]
        print(measure.target(f"error at K={s}, ours learned with that K / scikit-learn's", ratio, 1,
                             at_least=False, digits=3))  # fmt: skip
    if theirs:
        print(measure.target("SPAMS (at most K atoms) / ours at the same K, CPU time",
                             learned[theirs[0]][0] / unit_of_time, 1, at_least=True))  # fmt: skip
    print()


def _fit(learner: OnlineLearner, signals: np.ndarray) -> tuple[float, np.ndarray]:
    """CPU seconds and the atoms of one pass."""
    batches = range(0, len(signals), DEFAULTS.batch_size)
    if isinstance(learner, OmpLearner):  # the machine code is on disk from now on
        OmpLearner(learner.atoms, 2).partial_fit(signals[:64])

    def work() -> None:
        for place in batches:
            learner.partial_fit(signals[place : place + DEFAULTS.batch_size])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seconds = measure.cpu(work)()
    return seconds, learner.atoms


def _spams(
    work: Path, signals: np.ndarray, start: np.ndarray, cases: dict[str, dict[str, float]]
) -> dict[str, tuple[float, np.ndarray]]:
    found = peers.spams_worker(work, signals=signals, dictionary=start)
    if found is None:
        return {}
    worker, results, file = found[0], {}, work.absolute() / "spams-atoms.npy"
    for name, case in cases.items():
        seconds = worker("spams_learn", batch_size=DEFAULTS.batch_size, result=str(file), **case)
        results[name] = (seconds, unit(np.load(file)))
    worker.close()
    return results


def _errors(atoms: np.ndarray, patches: np.ndarray) -> list[float]:
    energy = np.square(patches).sum()
    codes = {k: omp(patches, atoms, k) for k in SPARSITIES}
    return [
        float(np.square(patches - reconstruct(*codes[k], atoms)).sum() / energy) for k in SPARSITIES
    ]


def whole_command(images: list[Pixels], work: Path, *, real: bool) -> None:
    """`rsparse learn-dict` on up to 1,000 photographs, and the CPU time of its parts."""
    count = len(images) if real else 100
    folder = photographs.folder_of(images, count, work / "learn")
    output = work / "learned"
    jobs = usable_cores()

    def learned(weights: str) -> tuple[float, float]:
        shutil.rmtree(output, ignore_errors=True)  # else an interrupted run would go on
        chosen = ("--smoothing-weights", weights, "--jobs", jobs)
        return measure.child_cpu(
            measure.rsparse("learn-dict", folder, "-o", output / "dict.h5", *chosen)
        )

    learned("squared")  # compiles
    by_opencv, _ = learned("opencv")
    used, wall = learned("squared")
    share = measure.given_share(jobs)
    measure.pin()
    parts = _parts(images[:count])
    total = sum(parts.values())
    print(
        f"### `rsparse learn-dict`\n\n{count:,} photographs of 299×299 with the default "
        f"parameters and `--jobs {jobs}` took {wall:.0f} s of wall time and {used:.0f} CPU-s. "
        f"Immediately afterwards, {jobs} processes that only count got {share:.0%} of a core "
        "each. The CPU time of an image, measured separately:\n"
    )
    rows = [[name, f"{1000 * value:.1f}", f"{100 * value / total:.0f} %"]
            for name, value in parts.items()]  # fmt: skip
    rows.append(["sum", f"{1000 * total:.1f}", ""])
    rows.append(["the command, with its start", f"{1000 * used / count:.1f}", ""])
    rows.append(["the command with OpenCV's smoothing", f"{1000 * by_opencv / count:.1f}", ""])
    print(table_text(["part", "CPU ms an image", "share"], rows))
    print(measure.target("the command with OpenCV's smoothing / with ours, CPU time",
                         by_opencv / used, 5, at_least=True))  # fmt: skip


def _parts(images: list[Pixels]) -> dict[str, float]:
    """CPU seconds an image; the parts that are alike for all images from some of them."""
    some = images[:30]
    files = [encode_png(image) for image in some]
    plain = LearnParameters(smoothing=False)
    rng, learner = np.random.default_rng(0), DictionaryLearner(plain)
    taken: list[np.ndarray] = []

    def learn() -> None:
        for patches in taken:
            learner.partial_fit(patches)
        learner.finish()

    steps: dict[str, tuple[Callable[[], object], int]] = {
        "decoding": (lambda: [decode_image(file, Path("a.png")) for file in files], len(some)),
        "non-local means, of the patches only": (
            lambda: [take_patches(image, DEFAULTS, rng) for image in some], len(some)
        ),
        "patches": (lambda: taken.extend(
            standardized(take_patches(image, plain, rng), plain) for image in images
        ), len(images)),
        "learning, with the machine code's loading": (learn, len(images)),
    }  # fmt: skip
    return {name: measure.cpu(step)() / count for name, (step, count) in steps.items()}


if __name__ == "__main__":
    main()
