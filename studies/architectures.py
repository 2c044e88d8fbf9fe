"""Try every command on untrained networks of many architectures, exported by both torch exporters.

    python -m studies.architectures                       # all; writes docs/architectures.csv
    python -m studies.architectures --only resnet vit     # prints the rows of some
    python -m studies.architectures --table               # only renders the table

Each network gets 10 classes and an open batch, or a fixed batch of 1 where an exporter cannot leave
it open. Each command runs on four small photographs. A cell is ``yes`` or what the command said.
The table in docs/architectures.md is rendered from the CSV file.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
from PIL import Image
from typer.testing import CliRunner

from rsparse.data import demo_photos
from studies.pages import DOCS
from studies.tables import Row, read_rows, write_rows

CSV = DOCS / "architectures.csv"
PAGE = DOCS / "architectures.md"
MARKS = "<!-- table of architectures -->\n", "<!-- end of the table -->\n"
COMMANDS = ("classify", "attack", "activations", "attention", "train")
EXPORTERS = {"tracing": False, "dynamo": True}


@dataclass(frozen=True)
class Architecture:
    """A family, the network that stands for it, and the side of its input.

    ``hidden`` is the width of the linear layers before the last one, which are 4,096 wide in the
    oldest networks, too many weights for a quick trial.
    """

    family: str
    network: str
    size: int = 64
    options: tuple[tuple[str, Any], ...] = ()
    hidden: int | None = None

    def build(self) -> Any:
        """The network with random weights, in evaluation mode."""
        import torch

        torch.manual_seed(0)
        library, _, name = self.network.partition(":")
        options = dict(self.options)
        if library == "timm":
            import timm

            return timm.create_model(name, pretrained=False, num_classes=10, **options).eval()
        import torchvision
        from torch import nn

        network = torchvision.models.get_model(name, weights=None, num_classes=10, **options).eval()
        if self.hidden is not None:
            n = next(m.in_features for m in network.classifier if isinstance(m, nn.Linear))
            layers = nn.Linear(n, self.hidden), nn.ReLU(), nn.Dropout(), nn.Linear(self.hidden, 10)
            network.classifier = nn.Sequential(*layers).eval()
        return network


SIDE = (("img_size", 64),)
ARCHITECTURES = [
    Architecture("AlexNet", "torchvision:alexnet", 224, hidden=64),
    Architecture("VGG", "torchvision:vgg11_bn", 224, hidden=64),
    Architecture("GoogLeNet (Inception v1)", "torchvision:googlenet", 64,
                 (("aux_logits", False), ("init_weights", True))),
    Architecture("Inception v3", "timm:inception_v3", 96),
    Architecture("ResNet", "torchvision:resnet18"),
    Architecture("ResNeXt", "timm:resnext26ts"),
    Architecture("DenseNet", "torchvision:densenet121"),
    Architecture("SqueezeNet", "torchvision:squeezenet1_1"),
    Architecture("ShuffleNet v2", "torchvision:shufflenet_v2_x0_5"),
    Architecture("MNASNet", "torchvision:mnasnet0_5"),
    Architecture("MobileNet v1", "timm:mobilenetv1_100"),
    Architecture("MobileNet v2", "torchvision:mobilenet_v2"),
    Architecture("MobileNet v3", "torchvision:mobilenet_v3_small"),
    Architecture("MobileNet v4", "timm:mobilenetv4_conv_small"),
    Architecture("EfficientNet", "torchvision:efficientnet_b0"),
    Architecture("EfficientNet, TensorFlow padding", "timm:tf_efficientnet_lite0"),
    Architecture("RegNet", "torchvision:regnet_y_400mf"),
    Architecture("RepVGG", "timm:repvgg_a0"),
    Architecture("NF-RegNet", "timm:nf_regnet_b0"),
    Architecture("ConvNeXt", "timm:convnext_atto"),
    Architecture("ConvNeXt v2", "timm:convnextv2_atto"),
    Architecture("ViT", "timm:vit_tiny_patch16_224", 64, SIDE),
    Architecture("DeiT", "timm:deit_tiny_distilled_patch16_224", 64, SIDE),
    Architecture("Swin", "torchvision:swin_t", 64),
    Architecture("PVT v2", "timm:pvt_v2_b0"),
    Architecture("MobileViT", "timm:mobilevit_xxs"),
    Architecture("PoolFormer", "timm:poolformer_s12"),
    Architecture("MLP-Mixer", "timm:mixer_s32_224", 64, SIDE),
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", nargs="+", metavar="WORD", help="families with one of these words"
    )
    parser.add_argument(
        "--table", action="store_true", help="only render the table of the CSV file"
    )
    options = parser.parse_args()
    if options.only is not None:
        for one in ARCHITECTURES:
            if any(word.lower() in one.family.lower() for word in options.only):
                for row in rows_of(one):
                    print(json.dumps(row), flush=True)
        return
    if not options.table:
        write_rows(CSV, [row for one in ARCHITECTURES for row in rows_of(one)])
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def rows_of(architecture: Architecture, exporters: Mapping[str, bool] = EXPORTERS) -> Iterator[Row]:
    """A row of the table for each exporter."""
    from tests.torchvision_operators import import_torchvision

    import_torchvision()
    for exporter, dynamo in exporters.items():
        row = {"family": architecture.family, "network": architecture.network, "exporter": exporter}
        with TemporaryDirectory() as work:
            path = Path(work) / "model.onnx"
            try:
                batch = export(architecture.build(), architecture.size, path, dynamo)
            except Exception as error:  # the exporters raise many types
                text = re.sub(r"\x1b\[[0-9;]*m", "", " ".join(str(error).split()))
                yield {**row, "opset": "", "batch": "", **dict.fromkeys(COMMANDS, text[:100])}
                continue
            opset = next(e.version for e in onnx.load(path, load_external_data=False).opset_import
                         if e.domain in ("", "ai.onnx"))  # fmt: skip
            yield {**row, "opset": str(opset), "batch": batch, **tried(path, Path(work))}


def export(network: Any, size: int, path: Path, dynamo: bool) -> str:
    """Write a network as an ONNX file; return its batch: ``open`` or ``1``."""
    import torch

    logging.disable(logging.ERROR)
    image, last = torch.zeros(2, 3, size, size), None
    old = {"dynamic_axes": {"x": {0: "n"}, "scores": {0: "n"}}}
    new = {"dynamic_shapes": ({0: torch.export.Dim("n")},)}
    for batch, x, more in (("open", image, new if dynamo else old), ("1", image[:1], {})):
        try:
            with warnings.catch_warnings(), torch.no_grad(), redirect_stdout(StringIO()):
                warnings.simplefilter("ignore")
                options = {"verbose": False} if dynamo else {}
                torch.onnx.export(network, (x,), str(path), dynamo=dynamo, input_names=["x"],
                                  output_names=["scores"], **options, **more)  # fmt: skip
            return batch
        except Exception as error:
            last = error
            for file in path.parent.iterdir():
                file.unlink()
    assert last is not None
    raise last


def tried(model: Path, work: Path) -> dict[str, str]:
    """What each command makes of a model."""
    photos = work / "photos"
    photos.mkdir()
    for photo in sorted(demo_photos("test").rglob("*.png"))[:4]:
        Image.open(photo).resize((64, 64)).save(photos / f"{photo.stem}.png")
    common = ("--model", model, "--preset", "unit")
    calls: dict[str, Sequence[Any]] = {
        "classify": (photos, *common, "-o", work / "p.csv"),
        "attack": (photos, *common, "-a", "fgsm:eps=8", "--predicted-labels", "--all-images",
                   "-o", work / "adv"),
        "activations": (photos, work / "adv", *common, "-o", work / "a.h5"),
        "attention": (photos, *common, "-o", work / "maps"),
        "train": (photos, *common, "--train-on", "clean", "--epochs", 1, "--labels",
                  work / "labels.csv", "-o", work / "trained.onnx"),
    }  # fmt: skip
    names = [path.name for path in sorted(photos.iterdir())]
    rows = "".join(f"{name},{number}\n" for number, name in enumerate(names))
    (work / "labels.csv").write_text(f"file,label\n{rows}", encoding="utf-8")
    found = {}
    for command, arguments in calls.items():
        found[command] = said(command, *arguments, work=work)
        if command == "attack" and found[command] != "yes":
            shutil.copytree(photos, work / "adv")  # activations can still be measured
    return found


def said(command: str, *arguments: Any, work: Path) -> str:
    """``yes`` if a command succeeds, otherwise its error without paths."""
    from rsparse.cli import app

    result = CliRunner().invoke(app, [command, *map(str, arguments)])
    if result.exit_code == 0:
        return "yes"
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return f"{type(result.exception).__name__}: {result.exception}"
    lines = [line for line in result.stderr.splitlines() if "error: " in line] or [result.stderr]
    text = lines[-1].partition("error: ")[2].replace(f"{work}/", "")
    return text.removeprefix("model.onnx: ")


def with_table(text: str) -> str:
    """The page with the table of the CSV file between its marks."""
    start, end = MARKS
    before, _, rest = text.partition(start)
    return f"{before}{start}\n{table(read_rows(CSV))}\n{end}{rest.partition(end)[2]}"


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown; each refusal is a number, and the numbers are explained below."""
    reasons: dict[str, int] = {}

    def cell(text: str) -> str:
        if text == "yes":
            return "✓"
        general = re.sub(r" '[^']*'", "", text)  # without the names of nodes
        return str(reasons.setdefault(general, len(reasons) + 1))

    lines = [
        "| family | network | exporter, operator set | " + " | ".join(COMMANDS) + " |",
        "|---|---|---|" + "---|" * len(COMMANDS),
    ]
    for row in rows:
        batch = ", batch of 1" if row["batch"] == "1" else ""
        place = f"{row['exporter']}, {row['opset']}{batch}"
        cells = [row["family"], row["network"].partition(":")[2], place]
        lines.append(f"| {' | '.join([*cells, *(cell(row[name]) for name in COMMANDS)])} |")
    said = [f"{number}. {reason}" for reason, number in reasons.items()]
    if said:
        lines += ["", "What the commands say where there is a number:", "", *said]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
