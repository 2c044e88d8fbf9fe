"""The backward pass of each defense on one image, beside the defense itself.

    python benchmarks/backward.py [--dict dict.h5] [--shared ../shared] [--full]

With ``--full`` also of the slow defenses.

A step of an attack through a defense takes the forward pass, which notes what the backward pass
needs, and the backward pass. The times are CPU times of one thread on one core, medians of
interleaved runs, on images of 224×224 pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import measure
import numpy as np
import photographs

from rsparse.attacks.through.backwards import Floats, Traced, Vjp, backwards_of, trace
from rsparse.defenses import Defense, Resources, defense_text, parse_defense
from rsparse.models.fit import Fit
from rsparse.models.resize import fit_pixels
from rsparse.report.markdown_tables import table_text
from rsparse.store.dictionaries import load_dictionary
from rsparse.store.images import Pixels

SIDE = 224
IMAGES = 3
CODERS = (
    "regionsparse:sparsity=5,stride=8,localize=no",
    "regionsparse:sparsity=16,min_correlation=2,stride=5,localize=no",
    "regionsparse:sparsity=1,localize=no",
    "regionsparse:sparsity=24,stride=8,localize=no",
)
OTHERS = ("regionsparse:sparsity=2", "bilateral", "gaussian", "median", "jpeg", "slq")
SLOW = ("tv", "tvm", "nlm", "comdefend")
LIMIT = 15


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument(
        "--dict", type=Path, help="a dictionary; else one of 1,024 atoms is learned"
    )
    options = parser.parse_args()
    measure.pin()
    photos = photographs.photographs(options.shared, 12)
    images = [fit_pixels(each, Fit((SIDE, SIDE))) for each in photos[:: len(photos) // IMAGES]]
    dictionary = (
        photographs.learned(photos, 1024)
        if options.dict is None
        else load_dictionary(options.dict)[0]
    )
    resources = Resources({"": dictionary})
    specs = (*CODERS, *OTHERS, *(SLOW if options.full else ()))
    defenses = [parse_defense(spec)[0] for spec in specs]
    passes = {
        (defense, name): _passes(defense, name, images[:IMAGES], resources)
        for defense in defenses
        for name in backwards_of(defense)
        if name != "identity"
    }
    timed = {(*key, kind): each[kind] for key, each in passes.items() for kind in (0, 1)}
    timed |= {(defense, "", 0): _each(partial(defense.clean, resources=resources), images)
              for defense in defenses}  # fmt: skip
    found = measure.interleaved(timed, rounds=15 if options.full else 5)  # type: ignore[arg-type]
    ms = {key: 1000 * value / IMAGES for key, value in found.items()}  # type: ignore[union-attr]
    print(
        f"### Backward passes\n\nThe mean of {IMAGES} of {photographs.source(options.shared)}, at "
        f"{SIDE}×{SIDE}; a dictionary of {len(dictionary.atoms):,} atoms.\n"
    )
    rows = [
        [
            defense_text(defense),
            name,
            *(
                f"{ms[key]:.1f}"
                for key in ((defense, "", 0), (defense, name, 0), (defense, name, 1))
            ),
        ]
        for defense, name in passes
    ]
    head = ["defense", "backward", "clean, ms", "forward, ms", "backward, ms"]
    print(table_text(head, rows))
    for spec in CODERS:
        (defense,) = parse_defense(spec)
        what = f"backward of {defense_text(defense)}, atoms, CPU ms"
        print(measure.target(what, ms[defense, "atoms", 1], LIMIT, at_least=False, digits=1))


def _passes(
    defense: Defense, name: str, images: list[Pixels], resources: Resources
) -> tuple[Callable[[], float], Callable[[], float]]:
    """The CPU seconds of the forward and of the backward passes of all images."""
    upper = np.random.default_rng(0).standard_normal(images[0].shape).astype(np.float32)
    vjps: dict[int, Vjp] = {}

    def forward() -> None:
        for number, image in enumerate(images):
            traced: Traced = trace(defense, image, resources, name)
            vjps[number] = traced.vjp

    def backward() -> list[Floats]:
        return [vjp(upper) for vjp in vjps.values()]

    return measure.cpu(forward), measure.cpu(backward)


def _each(clean: Callable[[Pixels], object], images: list[Pixels]) -> Callable[[], float]:
    return measure.cpu(lambda: [clean(image) for image in images[:IMAGES]])


if __name__ == "__main__":
    main()
