"""The paper's figures and tables on real classifiers, by the paper's settings (``make paper``).

    python -m studies.paper --images ILSVRC2012_val --work bench-work/imagenet [--dry-run]
    python -m studies.paper --shared ../shared --work bench-work/paper [--dry-run]

``--images`` are ImageNet's validation photographs, in subfolders of WordNet identifiers or in one
folder with a file of labels (``--labels``). The paper's four networks are fetched, and photographs
are taken at random of which Inception-v3 gets ``--photographs`` right. ``--shared`` is a folder
that has photographs and classifiers. The parts are

- ``figure-1``: activation by depth, and the attention of Fig. 3;
- ``gray-box``: Fig. 4 and 5;
- ``table-two``: Table II;
- ``transfer``: Fig. 8;
- ``retrained``: Fig. 6 and 7, a retrained classifier for each defense, only if ``--only`` names it;
- ``table-two-trained``: Table II of that classifier, which is trained adversarially; also if named.

The work folder keeps everything; an interrupted run continues. ``--dry-run`` says what is left to
do and how long it will take, after it has learned missing dictionaries. ``--docs`` gets the tables
and the page ``paper-figures.md``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rsparse.errors import InputError
from rsparse.options.labels import LabelOptions
from studies.hardware import add_options, chosen_computer
from studies.paper.figures import KINDS, OF_PAPER, OF_SHARED, PLANS, Places
from studies.paper.networks import fetch_missing, not_fetched
from studies.paper.photographs import Wanted, choose
from studies.paper.run import PARTS, Run
from studies.recipes import EVERY, FAST, Retraining


def main() -> int:
    options = _options()
    cast, shared = (OF_SHARED, options.shared) if options.shared else (OF_PAPER, options.work)
    try:
        if not options.shared and not _is_ready(options):
            return 0
        places = Places(
            shared, options.work / "parts", options.limit, tuple(options.without),
            options.jobs, options.device, tuple(options.attacks),
        )  # fmt: skip
        run = Run(cast, places, chosen_computer(options), _retraining(options))
        return (
            run.estimate(options.only)
            if options.dry_run
            else run.make(options.only, options.docs or options.work / "docs")
        )
    except InputError as error:
        raise SystemExit(f"studies.paper: {error}") from None


def _is_ready(options: argparse.Namespace) -> bool:
    """Fetch the networks and choose the photographs; a dry run only says what is missing."""
    missing = not_fetched(options.work, OF_PAPER.all)
    if options.dry_run and missing:
        print(
            f"to fetch once: {', '.join(missing)} (about 0.5 GB); run with --only networks, then "
            "--dry-run again for the time of all parts", file=sys.stderr,
        )  # fmt: skip
        return False
    fetch_missing(options.work, OF_PAPER.all)
    wanted = Wanted(options.photographs, options.training, options.seed)
    classifier = options.work / "models" / f"{OF_PAPER.judged}.onnx"
    choose(options.images, LabelOptions(options.labels), classifier, options.work, wanted)
    return True


def _retraining(options: argparse.Namespace) -> Retraining:
    """What is retrained: not behind a defense that is omitted."""
    chosen = FAST if options.fast else EVERY
    names = tuple(name for name in chosen.names if name not in options.without)
    return Retraining(names, options.epochs or chosen.epochs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m studies.paper", description=__doc__.splitlines()[0]
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--images", type=Path, help="ImageNet's validation photographs")
    source.add_argument("--shared", type=Path, help="a folder with photographs and classifiers")
    parser.add_argument("--labels", type=Path, help="the labels of --images, if no subfolders")
    parser.add_argument("--work", type=Path, required=True, help="folder for all artifacts")
    default = Wanted()
    parser.add_argument("--photographs", type=int, default=default.photographs, help="to judge")
    parser.add_argument("--training", type=int, default=default.training, help="for dictionaries")
    parser.add_argument("--seed", type=int, default=default.seed, help="of the photographs")
    parser.add_argument("--limit", type=int, help="judge only so many photographs")
    parser.add_argument(
        "--only", nargs="+", choices=("networks", *PARTS), default=["figure-1", *PLANS],
        help="make these parts",
    )  # fmt: skip
    parser.add_argument("--without", nargs="+", default=[], metavar="KIND", help="omit defenses")
    parser.add_argument(
        "--attacks", nargs="+", choices=KINDS, default=[], help="make these kinds of attacks"
    )
    parser.add_argument("--fast", action="store_true", help="retrain two classifiers, shortly")
    parser.add_argument("--epochs", type=int, help="retrain each classifier so long")
    parser.add_argument("--dry-run", action="store_true", help="print the estimated time and stop")
    parser.add_argument("--docs", type=Path, help="folder of the page; WORK/docs by default")
    add_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
