"""The time of classifying and attacking a batch on a device, compared with its arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from gpu_clock import Clock
from torch.utils.flop_counter import FlopCounterMode

from rsparse.attacks import parse_attack, run_attack
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.spec import InputOptions
from rsparse.models.torch.twin import load_twin
from rsparse.report.markdown_tables import table_head, table_row
from rsparse.store.images import to_unit

MODELS = {  # file and preset, by name
    "mobilenet-v2": ("mobilenet_v2_224.onnx", "mobilenet-v2"),
    "mobilenet-v1": ("mobilenet_v1_075_192.onnx", "unit"),
    "inception-v3": ("inception_v3_299.onnx", "inception-v3"),
}


def print_networks(clock: Clock, photos: list[np.ndarray], shared: Path, operations: float) -> None:
    """What a batch takes: its classes, and an attack of one pass and one of ten."""
    attacks = {text: parse_attack(text)[0] for text in ("fgsm:eps=8", "bim:eps=8,steps=10")}
    columns = [f"batches of {len(photos)}", "GFLOP/image", "least ms/image", "ms/image"]
    print(f"\n{table_head(['network', *columns])}")
    for name, (file, preset) in MODELS.items():
        path = shared / "models" / file
        if not path.exists():
            continue
        classifier = load_classifier(path, InputOptions(preset=preset))
        twin = load_twin(classifier, str(clock.device))
        pixels = [classifier.fit_to_input(photo) for photo in photos]
        x = to_unit(np.stack(pixels))
        y = twin.logits(pixels).argmax(axis=1)
        one = torch.zeros(1, 3, *classifier.spec.size, device=clock.device, requires_grad=True)
        plain = load_twin(classifier, str(clock.device), trainable=True)  # can be counted
        with FlopCounterMode(display=False) as forward:
            logits = plain(one)
        with FlopCounterMode(display=False) as back:
            logits.amax().backward()
        there, both = forward.get_total_flops(), forward.get_total_flops() + back.get_total_flops()
        works = {
            "classified": (there, lambda t=twin, p=pixels: t.logits(p)),
            **{
                text: (
                    attack.passes * both,
                    lambda t=twin, a=x, b=y, by=attack: run_attack(t, a, b, by),
                )
                for text, attack in attacks.items()
            },
        }
        for what, (needed, work) in works.items():
            seconds = clock.best(work) / len(photos)
            print(
                table_row(
                    [
                        name,
                        what,
                        f"{needed / 1e9:.3g}",
                        f"{1000 * needed / operations:.3g}",
                        f"{1000 * seconds:.3g}",
                    ]
                )
            )
