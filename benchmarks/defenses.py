"""Every defense: one image, beside the adversarial robustness toolbox and scikit-image.

    python benchmarks/defenses.py [--shared ../shared] [--full]

CPU time of one thread held to one core, medians of interleaved runs; uint8 in and out for ours,
for the others what they take.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import measure
import photographs

from rsparse.core.dictionary import Dictionary
from rsparse.defenses import DEFENSES, Resources, defense_text, parse_defense
from rsparse.errors import InputError
from rsparse.images import Pixels, to_unit

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
    dictionary = photographs.learned(images, 256)
    chosen = images[:: len(images) // IMAGES][:IMAGES]
    print(f"### One image\n\nThe mean of {IMAGES} of {photographs.source(options.shared)}; every "
          "defense by its defaults, regionsparse by a dictionary without levels "
          "(K=2). The last column is how many times the peer takes what ours of "
          "the same kind takes.\n")  # fmt: skip
    ours = _ours(chosen, dictionary)
    peers = {**_art(chosen), **_scikit_image(chosen)}
    seconds = measure.interleaved(
        {**ours, **{name: timed for name, (_, timed) in peers.items()}},
        rounds=15 if options.full else 5,
    )
    kinds = {name: kind for name, (kind, _) in peers.items()}
    rows = [
        [name, f"{1000 * value / IMAGES:.2f}", _ratio(name, seconds, kinds)]
        for name, value in seconds.items()
    ]
    print(measure.table(["defense", "CPU ms an image", "/ ours"], rows))
    if "ART TotalVarMin" not in seconds:
        print("The adversarial robustness toolbox (ART) is not installed.\n")
        return
    ratio = seconds["ART TotalVarMin"] / seconds[_named("tvm")]
    print(measure.target("ART's TotalVarMin / tvm, CPU time", ratio, 5, at_least=True))


def _named(spec: str) -> str:
    return defense_text(parse_defense(spec)[0])


def _ratio(name: str, seconds: dict[str, float], kinds: dict[str, str]) -> str:
    return f"{seconds[name] / seconds[_named(kinds[name])]:.1f}×" if name in kinds else ""


def _each(clean: Callable[[Pixels], object], images: list[Pixels]) -> Callable[[], float]:
    return measure.cpu(lambda: [clean(image) for image in images])


def _ours(images: list[Pixels], dictionary: Dictionary) -> dict[str, Callable[[], float]]:
    resources = Resources({"": dictionary})
    timed = {}
    for spec in (*DEFENSES, *CHAINS):
        defense = parse_defense(spec)[0]
        try:
            defense.check(resources)
        except InputError as error:
            print(f"Left out: {error}.\n")
            continue
        timed[defense_text(defense)] = _each(
            lambda image, defense=defense: defense.clean(image, resources), images
        )
    return timed


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
