"""Every defense on one image, compared with the Adversarial Robustness Toolbox and scikit-image.

    python benchmarks/defenses.py [--shared ../shared] [--full]

The times are CPU times of one thread on one core, medians of interleaved runs; ours have uint8
input and output, the others their own types. The script also prints the PSNR of cleaned benign
photographs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import cv2
import measure
import numpy as np
import photographs

from rsparse.defenses import DEFENSES, Defense, Resources, defense_text, parse_defense
from rsparse.errors import InputError
from rsparse.report.markdown_tables import table_text
from rsparse.store.images import Pixels, to_unit

IMAGES = 3
CHAINS = ("bilateral+jpeg:quality=40",)
ART = {
    "ART JpegCompression, quality 75": ("jpeg", "JpegCompression", {"quality": 75}),
    "ART SpatialSmoothing, 3×3": ("median", "SpatialSmoothing", {"window_size": 3}),
    "ART FeatureSqueezing, 5 bits": ("bit-depth", "FeatureSqueezing", {"bit_depth": 5}),
    "ART TotalVarMin": ("tvm", "TotalVarMin", {}),
}


def main() -> None:
    options = measure.parser(__doc__).parse_args()
    measure.pin()
    images = photographs.photographs(options.shared, 12)
    resources = Resources({"": photographs.learned(images, 256)})
    defenses = _usable(resources)
    chosen = images[:: len(images) // IMAGES][:IMAGES]
    print(
        f"### One image\n\nThe mean of {IMAGES} of {photographs.source(options.shared)}. Each "
        "defense has its default parameters; regionsparse has K=2. The PSNR compares benign "
        f"photographs before and after the defense; it is the mean of {len(images)}. The last "
        "column divides a peer's time by the time of our defense of the same kind.\n"
    )
    ours = {
        name: _each(partial(defense.clean, resources=resources), chosen)
        for name, defense in defenses.items()
    }
    peers = {**_art(chosen), **_scikit_image(chosen)}
    seconds = measure.interleaved(
        {**ours, **{name: timed for name, (_, timed) in peers.items()}},
        rounds=15 if options.full else 5,
    )
    kinds = {name: kind for name, (kind, _) in peers.items()}
    kept = {name: _psnr(defense, resources, images) for name, defense in defenses.items()}
    rows = [
        [name, f"{1000 * value / IMAGES:.2f}", kept.get(name, ""), _ratio(name, seconds, kinds)]
        for name, value in seconds.items()
    ]
    print(table_text(["defense", "CPU ms an image", "PSNR, dB", "/ ours"], rows))
    if "ART TotalVarMin" not in seconds:
        print("The Adversarial Robustness Toolbox (ART) is not installed.\n")
        return
    ratio = seconds["ART TotalVarMin"] / seconds[_named("tvm")]
    print(measure.target("ART's TotalVarMin / tvm, CPU time", ratio, 5, at_least=True))


def _named(spec: str) -> str:
    return defense_text(parse_defense(spec)[0])


def _ratio(name: str, seconds: dict[str, float], kinds: dict[str, str]) -> str:
    return f"{seconds[name] / seconds[_named(kinds[name])]:.1f}×" if name in kinds else ""


def _each(clean: Callable[[Pixels], object], images: list[Pixels]) -> Callable[[], float]:
    return measure.cpu(lambda: [clean(image) for image in images])


def _usable(resources: Resources) -> dict[str, Defense]:
    """The defenses by their texts, but for those that this machine lacks a package for."""
    found = {}
    for spec in (*DEFENSES, *CHAINS):
        defense = parse_defense(spec)[0]
        try:
            defense.check(resources)
        except InputError as error:
            print(f"Left out: {error}.\n")
            continue
        found[defense_text(defense)] = defense
    return found


def _psnr(defense: Defense, resources: Resources, images: list[Pixels]) -> str:
    """The mean over images, in dB; nothing for a defense that changes none."""
    cleaned = [defense.clean(image, resources) for image in images]
    if all(map(np.array_equal, images, cleaned)):
        return ""
    return f"{np.mean([cv2.PSNR(*pair) for pair in zip(images, cleaned, strict=True)]):.1f}"


def _art(images: list[Pixels]) -> dict[str, tuple[str, Callable[[], float]]]:
    if find_spec("art") is None:
        return {}
    from art.defences import preprocessor

    unit = [to_unit(image)[None] for image in images]
    peers = {}
    for name, (kind, title, options) in ART.items():
        defence = getattr(preprocessor, title)(clip_values=(0, 1), **options)
        peers[name] = (kind, _each(defence, unit))
    return peers


def _scikit_image(images: list[Pixels]) -> dict[str, tuple[str, Callable[[], float]]]:
    from skimage.restoration import denoise_tv_bregman, denoise_tv_chambolle

    weight = 0.03
    return {
        "scikit-image TV, Bregman": (
            "tv", _each(lambda image: denoise_tv_bregman(image, 1 / weight, channel_axis=2), images)
        ),
        "scikit-image TV, Chambolle": (
            "tv", _each(lambda image: denoise_tv_chambolle(image, weight, channel_axis=2), images)
        ),
    }  # fmt: skip


if __name__ == "__main__":
    main()
