"""Train the weights of the denoiser ``unrolled`` (``rsparse.core.unrolled``).

The steps of a sparse coder are unrolled into a network (Gregor and LeCun 2010; for denoising
Simon and Elad 2019, Scetbon, Elad and Milanfar 2021), whose encoder, atoms, thresholds and weights
of overlapping patches are trained together on the squared error. Training uses crops of
photographs, one half of them reduced to the size that a classifier sees, with noise of a random σ.
With ``--classifier``, training goes on with photographs at that size and adds how far the
classifier's answer to the denoised image is from its answer to the clean one (Salman et al. 2020,
"stability").

The shipped weights were made in two rounds. In the first, of an earlier form of this script and 7
CPU minutes, all crops were of reduced photographs and the first part was stopped after 1,700 steps,
at a high learning rate; the second went on from there for 500 steps on whole photographs, with σ
from 0.08 on, a rate of 5e-4 and the weight 20 of the squared error (``answers``). The second round,
of three CPU minutes, trained only ``pixels`` further, with ``--start denoising.npz --steps 2000``:
their PSNR on eight held-out photographs rose from 31.88 to 32.00 dB at σ = 25/255. ``answers`` were
not trained further. The script uses one thread and fixed seeds and goes on from its checkpoints.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from omp_atoms import N_ATOMS, learned_atoms
from torch.nn import functional

from rsparse.core.cosines import cosines
from rsparse.core.engines.torch.unrolled import PATCH, UnrolledCoder
from rsparse.core.unrolled import weights_from
from rsparse.data import denoising_weights
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.spec import InputOptions
from rsparse.models.torch.twin import load_twin
from rsparse.store.finding import find_images
from rsparse.store.images import decode_image

SEED = 0
SIDE, CROP, BATCH = 224, 64, 12
LEARNING_RATE = 2e-3
SIGMAS = (0.04, 0.28)  # the noise in training, log-uniform
WHOLE = 4  # photographs in a step
STABLE_SIGMAS = (0.05, 0.28)
STABLE_RATE = 1e-3
SQUARED_ERROR = 10.0
STARTED = time.monotonic()
HELD_OUT = 25  # one in 25 photographs is held out
LOG = 100  # steps
KINDS = ("pixels", "answers")  # the sets of weights: after the first part, and after both
DRAWS = 5  # of noise for each held-out photograph


def read_folder(folder: Path) -> np.ndarray:
    """Return the photographs, uint8 arrays of one size that is SIDE or more."""
    return np.stack([decode_image(file.read(), file.path) for file in find_images([folder])])


def reduced(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def first_atoms(rng: np.random.Generator) -> torch.Tensor:
    """Cosines of colour patches in the order (channel, row, column), with a few random atoms."""
    atoms = cosines(PATCH, 3, 3 * PATCH * PATCH).reshape(-1, PATCH, PATCH, 3).transpose(0, 3, 1, 2)
    atoms = atoms.reshape(len(atoms), -1)
    more = rng.standard_normal((N_ATOMS - len(atoms), atoms.shape[1]))
    more *= 0.2 / np.linalg.norm(more, axis=1, keepdims=True)
    return torch.from_numpy(np.concatenate([atoms, more]).astype(np.float32))


def crops_of(images: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Random crops, some of them mirrored: (n, 3, CROP, CROP) in [0, 1]."""
    crops = []
    for _ in range(BATCH):
        image = images[rng.integers(len(images))]
        crop = random_square(reduced(image) if rng.random() < 0.5 else image, CROP, rng)
        crops.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    return to_tensor(np.stack(crops))


def views_of(images: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Random large squares of photographs, (WHOLE, 3, SIDE, SIDE) in [0, 1]."""
    views = []
    for _ in range(WHOLE):
        image = images[rng.integers(len(images))]
        side = int(rng.integers(SIDE, image.shape[0] + 1))
        view = reduced(random_square(image, side, rng))
        views.append(view[:, ::-1] if rng.random() < 0.5 else view)
    return to_tensor(np.stack(views))


def random_square(image: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    top, left = (rng.integers(length - side + 1) for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def to_tensor(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 255


def sigmas_of(n: int, rng: np.random.Generator, ends: tuple[float, float] = SIGMAS) -> torch.Tensor:
    low, high = map(math.log, ends)
    return torch.from_numpy(np.exp(rng.uniform(low, high, n)).astype(np.float32))


def noisy(x: torch.Tensor, sigma: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    noise = torch.from_numpy(rng.standard_normal(x.shape, np.float32))
    return x + sigma.view(-1, 1, 1, 1) * noise


@torch.no_grad()
def psnr(network: UnrolledCoder, images: np.ndarray, sigma: float) -> float:
    """Mean PSNR in dB on held-out photographs."""
    rng, values = np.random.default_rng(1), []
    for image in images:
        x = to_tensor(reduced(image)[None])
        level = torch.tensor([sigma])
        error = (network(noisy(x, level, rng), level).clamp(0, 1) - x).square().mean()
        values.append(-10 * math.log10(float(error)))
    return float(np.mean(values))


def train(network: UnrolledCoder, images: np.ndarray, held_out: np.ndarray, options) -> None:
    """Train on the squared error, from the checkpoint if there is one, and report PSNR."""
    optimizer = torch.optim.Adam(network.parameters(), betas=(0.9, 0.99))
    first = load(options.checkpoint, network, optimizer)
    for step in range(first, options.steps):
        rng = np.random.default_rng([SEED, step])
        x, sigma = crops_of(images, rng), sigmas_of(BATCH, rng)
        error = (network(noisy(x, sigma, rng), sigma) - x).square().mean((1, 2, 3))
        descend(
            optimizer, network, (error / sigma).mean(), LEARNING_RATE * rate(step, options.steps)
        )
        if (step + 1) % LOG == 0 or step + 1 == options.steps:
            save(options.checkpoint, step + 1, network, optimizer)
        if (step + 1) % (5 * LOG) == 0 or step + 1 == options.steps:
            report(step + 1, network, held_out)


def stabilise(network: UnrolledCoder, images: np.ndarray, held_out: np.ndarray, options) -> None:
    """Train on, so that the classifier's answer stays what it is without noise.

    The loss is the Kullback-Leibler divergence between both answers, plus the squared error of
    before.
    """
    twin = twin_of(options)
    optimizer = torch.optim.Adam(network.parameters(), betas=(0.9, 0.99))
    first = load(options.stable_checkpoint, network, optimizer)
    for step in range(first, options.stability_steps):
        rng = np.random.default_rng([SEED, 1, step])
        x = views_of(images, rng)
        sigma = sigmas_of(WHOLE, rng, STABLE_SIGMAS)
        with torch.no_grad():
            expected = twin(x).log_softmax(1)
        clean = network(noisy(x, sigma, rng), sigma)
        error = (clean - x).square().mean((1, 2, 3))
        divergence = functional.kl_div(
            twin(clean).log_softmax(1), expected, reduction="batchmean", log_target=True
        )
        loss = divergence + SQUARED_ERROR * (error / sigma).mean()
        descend(optimizer, network, loss, STABLE_RATE * rate(step, options.stability_steps))
        if (step + 1) % 25 == 0:
            save(options.stable_checkpoint, step + 1, network, optimizer)
            print(f"step {step + 1}  divergence {float(divergence):.3f}", flush=True)
        if (step + 1) % 500 == 0 or step + 1 == options.stability_steps:
            report(step + 1, network, held_out)
            print(f"agreement at 0.12, 0.25: {agreement(network, held_out, twin)}", flush=True)


def twin_of(options):
    """The classifier in torch."""
    classifier = load_classifier(options.classifier, InputOptions(options.preset))
    return load_twin(classifier, trainable=True)


@torch.no_grad()
def agreement(network: UnrolledCoder, images: np.ndarray, twin) -> str:
    """How often the answer to held-out, noisy, denoised photographs is that to the clean ones."""
    rng, shares = np.random.default_rng(2), []
    for sigma in (0.12, 0.25):
        right = 0
        for image in images:
            x = to_tensor(reduced(image)[None])
            level = torch.full((DRAWS,), sigma)
            clean = network(noisy(x.expand(DRAWS, -1, -1, -1), level, rng), level)
            right += int((twin(clean).argmax(1) == twin(x).argmax(1)).sum())
        shares.append(f"{100 * right / len(images) / DRAWS:.1f} %")
    return ", ".join(shares)


def rate(step: int, steps: int) -> float:
    """The learning rate relative to its largest value: a short rise, then half a cosine."""
    return min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / steps))


def descend(
    optimizer: torch.optim.Optimizer, network: UnrolledCoder, loss: torch.Tensor, rate: float
) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
    optimizer.step()


def report(step: int, network: UnrolledCoder, held_out: np.ndarray) -> None:
    text = "  ".join(f"{psnr(network, held_out[:8], s):.2f}" for s in (0.06, 25 / 255, 0.12, 0.25))
    print(f"step {step}  {time.monotonic() - STARTED:.0f} s  {text} dB", flush=True)


def judge(files: list[Path], held_out: np.ndarray, options) -> None:
    """Report what weights in files reach on held-out photographs."""
    for file in files:
        for kind in KINDS:
            network = network_from(file, kind)
            print(f"{file} {kind}", end="  ")
            report(0, network, held_out)
            if options.classifier is not None:
                print(agreement(network, held_out, twin_of(options)), flush=True)


def network_from(file: Path, kind: str) -> UnrolledCoder:
    """The coder with one of the two sets of weights in a file that this script wrote."""
    with np.load(file) as arrays:
        own = {n.removeprefix(f"{kind}/"): a for n, a in arrays.items() if n.startswith(kind)}
    return UnrolledCoder.of(weights_from(own))


def save(path: Path, step: int, network: UnrolledCoder, optimizer: torch.optim.Optimizer) -> None:
    temporary = path.with_suffix(".tmp")
    torch.save(
        {"step": step, "network": network.state_dict(), "optimizer": optimizer.state_dict()},
        temporary,
    )
    temporary.replace(path)


def load(path: Path, network: UnrolledCoder, optimizer: torch.optim.Optimizer) -> int:
    if not path.exists():
        return 0
    state = torch.load(path)
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def started(start: Path | None, images: np.ndarray) -> dict[str, np.ndarray]:
    """All arrays of a file, or only the atoms of ``omp``, learned."""
    if start is None:
        return {"atoms": learned_atoms(np.stack([reduced(image) for image in images[::4]]))}
    with np.load(start) as arrays:
        return dict(arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--checkpoint", type=Path, default=Path("unrolled-training.pt"))
    parser.add_argument("--classifier", type=Path)
    parser.add_argument("--preset", default="mobilenet-v2")
    parser.add_argument("--stability-steps", type=int, default=3000)
    parser.add_argument("--stable-checkpoint", type=Path, default=Path("unrolled-stable.pt"))
    parser.add_argument("--output", type=Path, default=denoising_weights())
    parser.add_argument("--start", type=Path, help="go on from both sets of weights in this file")
    parser.add_argument("--judge", type=Path, nargs="*", help="weights to compare; none are made")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    photographs = read_folder(options.images)
    is_held_out = np.arange(len(photographs)) % HELD_OUT == 0
    rng = np.random.default_rng(SEED)
    first = UnrolledCoder(first_atoms(rng), first_atoms(rng))
    sets = photographs[~is_held_out], photographs[is_held_out]
    if options.judge:
        judge(options.judge, sets[1], options)
        return
    arrays = started(options.start, sets[0])
    if options.steps:
        network = first if options.start is None else network_from(options.start, "pixels")
        train(network, *sets, options)
        arrays |= {f"pixels/{name}": array for name, array in network.arrays().items()}
    if options.classifier is not None:
        if options.start is not None:
            network = network_from(options.start, "answers")
        stabilise(network, *sets, options)
        arrays |= {f"answers/{name}": array for name, array in network.arrays().items()}
    rounded = {name: array.astype(np.float16) for name, array in arrays.items()}
    np.savez(options.output, **rounded)


if __name__ == "__main__":
    main()
