"""Train the networks of the ``comdefend`` defense and write them to one ONNX file.

ComDefend (Jia et al., CVPR 2019) encodes every pixel in 12 bits and reconstructs the image from
them. A compressor and a reconstructor of nine 3x3 convolutions each are trained together on clean
images to minimise the squared error. Noise is added to the code, so that only its signs carry
information.

This training uses patches of the photographs in a folder and of the embedded demonstration's
training crops. Two ramps at the start keep it from getting stuck: the noise grows from zero to the
authors' standard deviation of 20, and the sigmoid of the code is sharpened by a growing factor,
which is finally folded into the compressor's last layer. The learning rate then falls to zero. An
interrupted run continues from its last checkpoint and ends with the same weights.

The shipped networks were made by

    python scripts/comdefend_model.py ../shared/train --stop-after 6750    # half an hour on a core

Without ``--stop-after`` it runs to the end, which may improve them slightly.

It runs on one thread with fixed seeds, in bfloat16 if the processor supports it: the same machine
and packages give the same bytes. It prints the clean PSNR on held-out photographs as it runs.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from comdefend_onnx import COMPRESSOR, RECONSTRUCTOR, export, measured_psnr
from torch import nn

from rsparse.data import comdefend_model, demo_photos
from rsparse.store.finding import find_images
from rsparse.store.images import decode_image

SEED = 0
BATCH, PATCH = 8, 24
LEARNING_RATE = 5e-4
WARM_UP = 50  # steps
RAMP = 300  # steps
STEPS = 7500
COOLDOWN = 5250  # steps
NOISE = 20.0
HARDNESS = 60.0
CODE_WEIGHT = 1e-4
LARGEST_GRADIENT = 0.5  # norm
HELD_OUT = 50  # one in 50 photographs of the folder is held out
LOG, SAVE = 100, 250  # steps

Images = list[np.ndarray]  # uint8 (h, w, 3) each


# --- Photographs ---------------------------------------------------------------------------------


def read_folder(folder: Path) -> Images:
    return [decode_image(file.read(), file.path) for file in find_images([folder])]


def split(folder: Path) -> tuple[Images, Images]:
    """Return photographs for training, and others for validation."""
    photographs = read_folder(folder)
    held_out = photographs[::HELD_OUT]
    kept = [image for i, image in enumerate(photographs) if i % HELD_OUT]
    return kept + read_folder(demo_photos("train")), held_out + read_folder(demo_photos("test"))


def batch_of(images: Images, step: int) -> torch.Tensor:
    """Return random patches of random photographs, some mirrored: (n, 3, h, w) in [0, 1]."""
    rng = np.random.default_rng([SEED, step])
    patches = []
    for _ in range(BATCH):
        image = images[rng.integers(len(images))]
        top, left = (rng.integers(side - PATCH + 1) for side in image.shape[:2])
        patch = image[top : top + PATCH, left : left + PATCH]
        patches.append(patch[:, ::-1] if rng.random() < 0.5 else patch)
    x = torch.from_numpy(np.stack(patches).transpose(0, 3, 1, 2).astype(np.float32) / 255)
    return x.contiguous(memory_format=torch.channels_last)


# --- Networks ------------------------------------------------------------------------------------


def convolutions(widths: tuple[int, ...]) -> nn.Sequential:
    """3x3 convolutions with ELU between them, initialised so that signals pass through them all.

    Each kernel starts as an orthogonal mixture of the channels at its centre, plus some noise.
    """
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(widths):
        is_last = len(layers) == 2 * (len(widths) - 2)
        layer = nn.Conv2d(fan_in, fan_out, 3, padding=1)
        centre = torch.empty(fan_out, fan_in)
        nn.init.orthogonal_(centre, gain=1.0 if is_last else 1.2)
        nn.init.normal_(layer.weight, std=0.1 / math.sqrt(fan_in))
        nn.init.zeros_(layer.bias)
        with torch.no_grad():
            layer.weight[:, :, 1, 1] += centre
        layers += [layer] if is_last else [layer, nn.ELU()]
    return nn.Sequential(*layers)


class ComDefend(nn.Module):
    """Both networks in their training form."""

    def __init__(self) -> None:
        super().__init__()
        self.compressor = convolutions(COMPRESSOR)
        self.reconstructor = convolutions(RECONSTRUCTOR)

    def loss(self, x: torch.Tensor, step: int) -> torch.Tensor:
        """Return the mean squared error plus the authors' small penalty on the code."""
        ramp = min(1.0, step / RAMP)
        generator = torch.Generator().manual_seed(SEED + step)
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16()):
            z = self.compressor(x - 0.5).float() * HARDNESS**ramp
            noise = torch.randn(z.shape, generator=generator) * NOISE * ramp
            code = torch.sigmoid(z - noise)
            restored = torch.sigmoid(self.reconstructor(code).float())
        return (restored - x).square().mean() + CODE_WEIGHT * code.square().mean()

    @torch.no_grad()
    def arrays(self, step: int) -> dict[str, np.ndarray]:
        """Return weights and biases as the defense uses them, with the hardness folded in."""
        arrays = {name: tensor.numpy().copy() for name, tensor in self.state_dict().items()}
        last = 2 * (len(COMPRESSOR) - 2)
        for kind in ("weight", "bias"):
            arrays[f"compressor.{last}.{kind}"] *= HARDNESS ** min(1.0, step / RAMP)
        return arrays


def has_bfloat16() -> bool:
    return torch.cpu._is_avx512_bf16_supported()


# --- Training ------------------------------------------------------------------------------------


def learning_rate(step: int) -> float:
    return LEARNING_RATE * min(1.0, (step + 1) / WARM_UP, (STEPS - step) / COOLDOWN)


def train(images: Images, steps: int, checkpoint: Path) -> Iterator[tuple[int, ComDefend]]:
    """Train, from the checkpoint if there is one; yield the step and the network now and then."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
    network = ComDefend().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters())
    first = load(checkpoint, network, optimizer) if checkpoint.exists() else 0
    for step in range(first, steps):
        optimizer.param_groups[0]["lr"] = learning_rate(step)
        loss = network.loss(batch_of(images, step), step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), LARGEST_GRADIENT)
        optimizer.step()
        if (step + 1) % SAVE == 0 or step + 1 == steps:
            save(checkpoint, step + 1, network, optimizer)
        if (step + 1) % LOG == 0:
            yield step + 1, network
    yield max(first, steps), network


def save(path: Path, step: int, network: ComDefend, optimizer: torch.optim.Adam) -> None:
    """Write everything that the next step depends on, whole or not at all."""
    arrays = {"step": np.array(step)}
    for name, parameter in network.named_parameters():
        arrays[name] = parameter.detach().numpy()
        for moment in ("exp_avg", "exp_avg_sq"):
            arrays[f"{moment}/{name}"] = optimizer.state[parameter][moment].numpy()
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **arrays)
    temporary.replace(path)


def load(path: Path, network: ComDefend, optimizer: torch.optim.Adam) -> int:
    """Restore what ``save`` wrote and return the number of steps done."""
    with np.load(path) as arrays:
        step = int(arrays["step"])
        for name, parameter in network.named_parameters():
            parameter.data.copy_(torch.from_numpy(arrays[name]))
            optimizer.state[parameter] = {
                "step": torch.tensor(float(step)),
                **{
                    moment: torch.empty_like(parameter).copy_(
                        torch.from_numpy(arrays[f"{moment}/{name}"])
                    )
                    for moment in ("exp_avg", "exp_avg_sq")
                },
            }
    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, help="folder of photographs to train on")
    parser.add_argument("--stop-after", type=int, default=STEPS, metavar="STEP")
    parser.add_argument("--checkpoint", type=Path, default=Path("comdefend-training.npz"))
    parser.add_argument("--output", type=Path, default=comdefend_model())
    options = parser.parse_args()
    images, held_out = split(options.images)
    print(f"{len(images)} photographs to train on, {len(held_out)} held out", flush=True)
    started = time.monotonic()
    for step, network in train(images, options.stop_after, options.checkpoint):
        graph = export(network.arrays(step))
        psnr = measured_psnr(graph, [image[:96, :96] for image in held_out[::3]])
        print(f"step {step:5d}  {time.monotonic() - started:5.0f} s  {psnr:.2f} dB", flush=True)
    options.output.write_bytes(graph.SerializeToString(deterministic=True))
    print(f"clean PSNR on {len(held_out)} held-out photographs: "
          f"{measured_psnr(graph, held_out):.2f} dB")  # fmt: skip


if __name__ == "__main__":
    main()
