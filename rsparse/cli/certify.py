"""The command ``rsparse certify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsparse.cli.command import command, given_options
from rsparse.cli.console import Stopwatch, count, finish, progress_bar, say, summary, wide_table
from rsparse.cli.generated import argument
from rsparse.cli.input_options import InputOptions
from rsparse.cli.label_options import LabelOptions
from rsparse.cli.options import Dictionaries, Json, Overwrite, output_option, path_option
from rsparse.errors import InputError
from rsparse.options.certify import CertifyParameters
from rsparse.store.published import dictionary_files
from rsparse.work.workers import Workers

if TYPE_CHECKING:
    from rsparse.commands.certify.outcome import CertifyOutcome
    from rsparse.store.certificates import Certificates


@command(
    "rsparse certify imgs/ --model tagged.onnx --sigma 0.12 -o cert/",
    "rsparse certify imgs/ --model m.onnx --preset inception-v3 --sigma .06,.12,.25 -o cert/",
    "rsparse certify imgs/ --model m.onnx --denoiser omp:threshold=3,stride=4 --n 10000 -o cert/",
    "rsparse certify imgs/ --model m.onnx --first 1000 -o more/",
    "rsparse certify cert/ more/ -o all/",
)
def certify(
    *,
    context: typer.Context,
    images: Annotated[
        list[Path],
        argument(
            "IMAGES",
            "Folders (searched recursively) or single images; or folders that this command wrote, "
            "to merge them.",
        ),
    ],
    model: Annotated[
        Path | None,
        path_option(
            "FILE",
            "The classifier, an ONNX file; needed unless certificates are merged.",
            "--model",
            "-m",
        ),
    ] = None,
    output: Annotated[
        Path,
        output_option("FOLDER", "Folder for certificates.h5, certificates.csv and certified.png."),
    ],
    dictionaries: Dictionaries = None,
    labels: LabelOptions,
    parameters: CertifyParameters,
    input_options: InputOptions,
    workers: Workers,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Certify radii in which no change of an image changes its class.

    Randomized smoothing (Cohen et al. 2019): noisy versions of an image are denoised and
    classified; from how often a class is given follows an L2 radius, for pixels in [0, 1], within
    which the majority's class cannot change. It says nothing of larger changes: ±1 grey level
    everywhere is L2 1.52 at 224×224.
    """
    from rsparse.store.certificates import refuse_mixed

    watch = Stopwatch()
    if refuse_mixed(images):
        from rsparse.commands.certify.merge import merge_certificates

        _refuse_with_merging(context, model, dictionaries, labels, input_options)
        outcome = merge_certificates(images, output, overwrite=overwrite)
    elif model is None:
        raise InputError("certify needs a classifier: --model FILE")
    else:
        from rsparse.commands.certify.certify import certify_images

        with progress_bar() as progress:
            outcome = certify_images(
                images,
                model,
                output,
                parameters,
                input_options,
                dictionaries=dictionary_files(dictionaries),
                labels=labels,
                workers=workers,
                overwrite=overwrite,
                progress=progress,
            )
    _print(outcome, watch)
    finish(outcome, as_json)


def _refuse_with_merging(
    context: typer.Context,
    model: Path | None,
    dictionaries: list[str] | None,
    labels: LabelOptions,
    input_options: InputOptions,
) -> None:
    """Refuse the options that only counting uses: merged certificates have theirs in them."""
    given = list(given_options(context, CertifyParameters))
    others = {
        "--model": model,
        "--dict": dictionaries,
        "--labels": labels.file,
        "--first-class": labels.first_class,
    }
    given += [name for name, value in others.items() if value not in (None, [])]
    given += [f"--{name}" for name in input_options.options()]
    if given:
        raise InputError(
            f"{given[0]} cannot be used when certificates are merged, which keep the classifier, "
            "the noise and the labels that they were made with; leave it out"
        )


def _print(outcome: CertifyOutcome, watch: Stopwatch) -> None:
    from rsparse.store.certificates import RADII

    found = outcome.certificates
    assert found is not None
    radii = [radius for radius in RADII if radius <= max(found.caps)]
    heads = [f"{radius:g}" if radius else "any" for radius in radii]
    is_labelled = bool((found.labels >= 0).any())
    title = "certified " + ("as the right class" if is_labelled else "as any class")
    rows = [[f"{sigma:g}", *_cells(found, k, radii)] for k, sigma in enumerate(found.sigmas)]
    wide_table(
        f"{title} within an L2 radius, % (95 % interval)",
        ("σ", *heads, "abstained", "cap", "grey levels"),
        rows,
    )
    say(f"{found.sentence}.")
    summary(
        "certified",
        {
            "images": count(outcome),
            "denoiser": outcome.denoiser,
            "samples": f"{found.n0:,} select the class, {found.n:,} bound its probability",
            "alpha": f"{found.alpha:g}",
            "labels": outcome.label_origin,
            "time": str(watch),
        },
    )


def _cells(found: Certificates, k: int, radii: list[float]) -> list[str]:
    """Shares within the radii, abstentions and the cap of the radius at the k-th σ."""
    cap, cells = float(found.caps[k]), []
    for radius in radii:
        share = found.certified_accuracy(k, radius)
        low, high = 100 * share.low, 100 * share.high
        text = f"{100 * share.value:.1f} ({low:.1f}–{high:.1f})"
        cells.append(text if radius <= cap else "–")
    return [*cells, str(found.abstained(k)), f"{cap:.3f}", f"±{found.grey(cap):.2f}"]
