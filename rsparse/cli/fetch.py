"""The command ``rsparse fetch``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rsparse.cli.command import command
from rsparse.cli.console import Stopwatch, answer, answer_json, summary
from rsparse.cli.generated import argument
from rsparse.cli.options import Json, Overwrite, output_option
from rsparse.options.fetch import FetchParameters

if TYPE_CHECKING:
    from rsparse.commands.fetch import FetchOutcome


@command(
    "rsparse fetch inception_v3.tf_in1k -o inception_v3.onnx",
    "rsparse fetch inception_v3.tf_adv_in1k -o inception_v3_adv.onnx",
    "rsparse fetch inception_v4.tf_in1k -o inception_v4.onnx",
    "rsparse fetch inception_resnet_v2.tf_in1k -o inception_resnet_v2.onnx",
    "rsparse fetch resnet50.a1_in1k -o random.onnx --no-pretrained --seed 1",
)
def fetch(
    model: Annotated[
        str,
        argument(
            "MODEL",
            "The timm name of a classifier, architecture.tag; the examples below include the "
            "paper's classifiers.",
        ),
    ],
    output: Annotated[Path, output_option("FILE", "File for the classifier (ONNX).")],
    parameters: FetchParameters,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Get a classifier by name and save it as an ONNX file that the other commands can read.

    Trained on adversarial images are inception_v3.tf_adv_in1k and
    inception_resnet_v2.tf_ens_adv_in1k, and with AdvProp, for clean images too,
    tf_efficientnet_b0.ap_in1k to tf_efficientnet_b8.ap_in1k.

    timm builds the network. Its weights come from the Hugging Face hub or its cache (HF_HOME) and
    are checked against their SHA-256. The file describes the input that the network expects and,
    for ImageNet, names the classes. It is written only if onnxruntime gives the same logits as
    torch. This command needs the extra `models`.
    """
    from rsparse.commands.fetch import fetch_model

    watch = Stopwatch()
    fetched = fetch_model(model, output, parameters, overwrite=overwrite)
    summary("fetched", {**_summary_values(fetched, parameters), "time": str(watch)})
    if as_json:
        answer_json(_as_json(fetched))
    else:
        answer(output)


def _summary_values(fetched: FetchOutcome, parameters: FetchParameters) -> dict[str, str]:
    model, weights = fetched.model, fetched.weights
    if weights is None:
        origin = {"weights": f"random, seed {parameters.seed}"}
    else:
        place = "downloaded" if weights.downloaded else "from the cache"
        origin = {
            "weights": f"{model.repository}, {place}",
            "SHA-256": f"{weights.sha256[:16]}…, as the hub gives it",
            "licence": model.license or "unknown",
        }
    height, width = model.spec.size
    return {
        "model": model.name,
        **({} if model.training is None else {"trained": model.training}),
        **origin,
        "input": f"{height}×{width}",
        "mean, std": f"{_three(model.spec.mean)}; {_three(model.spec.std)}",
        "classes": f"{model.n_classes}, {'named' if model.spec.labels else 'without names'}",
        "parity": f"torch's logits within {fetched.difference:.1g}, over a range of "
        f"{fetched.spread:.2g}",
    }


def _three(numbers: tuple[float, ...]) -> str:
    return ", ".join(f"{number:g}" for number in dict.fromkeys(numbers))


def _as_json(fetched: FetchOutcome) -> dict[str, Any]:
    weights = fetched.weights
    return {
        "output": str(fetched.output),
        "sha256": fetched.sha256,
        "model": fetched.model.name,
        "input": fetched.model.spec.as_record(),
        "weights": weights and {"sha256": weights.sha256, "license": fetched.model.license},
    }
