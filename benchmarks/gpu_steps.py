"""The steps of purifying on a device, compared with the limits of its arithmetic and memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from gpu_clock import Clock, plain

from rsparse.core.engines import engine_for
from rsparse.core.engines.torch.decoding import Tables
from rsparse.core.engines.torch.engine import TorchEngine
from rsparse.core.engines.torch.grids import Grid
from rsparse.core.engines.torch.overlap import add_bands
from rsparse.core.engines.torch.steps import TORCH
from rsparse.options.purify import PurifyParameters
from rsparse.report.markdown_tables import table_head, table_row

PATCH, ATOMS = 8, 256
WHOLE = PurifyParameters(localize=False, stride=1, sparsity=5)


@dataclass(frozen=True)
class Step:
    """A step of purifying one image: what it has to do, and itself, for ``images`` of them."""

    name: str
    operations: float
    traffic: float
    images: int
    run: Callable[[], object]
    is_part: bool = True  # of the whole image's purifying by the shortest way


def print_steps(clock: Clock, side: int, operations: float, traffic: float) -> None:
    columns = [
        "step, at stride 1 and K = 5",
        "GFLOP/image",
        "GB/image",
        "least ms/image",
        "ms/image",
    ]
    print(f"\n{table_head(columns)}")
    least, taken, by_memory = 0.0, 0.0, 0.0
    for step in steps(clock.device, side):
        at_best = max(step.operations / operations, step.traffic / traffic)
        seconds = clock.best(step.run) / step.images
        print(
            table_row(
                [
                    step.name,
                    f"{step.operations / 1e9:.3g}",
                    f"{step.traffic / 1e9:.3g}",
                    f"{1000 * at_best:.3g}",
                    f"{1000 * seconds:.3g}",
                ]
            )
        )
        if step.is_part:
            least, taken = least + at_best, taken + seconds
            by_memory += at_best if step.traffic / traffic == at_best else 0
    what = "memory traffic" if by_memory > least / 2 else "arithmetic"
    print(
        f"\nWithout the filter {plain(1 / least)} images/s at most, {plain(1 / taken)} by these "
        "steps; "
        f"the limit is {what} ({100 * max(by_memory, least - by_memory) / least:.0f} % of the "
        "least time)."
    )


def steps(device: torch.device, side: int) -> list[Step]:
    """The parts of purifying, with what they compute and read and write in float32.

    What a cache holds (the dictionary, its Gram matrix, the image under its patches) is left out.
    """
    engine, where = engine_for(str(device)), Grid.over((side, side), PATCH, 1)
    assert isinstance(engine, TorchEngine)
    n, m, k, atoms = len(where), 3 * PATCH**2, ATOMS, WHOLE.sparsity
    images = 8 if device.type == "cuda" else 1
    patches, encoder = torch.rand(n * images, m, device=device), torch.rand(m, k, device=device)
    correlations, decoder = patches @ encoder, encoder.T.contiguous()
    gram = torch.eye(k, device=device) * 0.5 + 0.5
    rows = torch.randint(k, (images, n, atoms + 1), device=device, dtype=torch.int32)
    weights = torch.rand(rows.shape, device=device)
    tables = Tables(decoder, *torch.rand(2, images, m, device=device))
    canvas = torch.zeros(images, side, side, 3, device=device)
    pixels = torch.randint(256, (images, 3, side, side), device=device).float()
    window = PurifyParameters().bilateral_diameter // 2
    disc = sum(
        i * i + j * j <= window**2
        for i in range(-window, window + 1)
        for j in range(-window, window + 1)
    )
    bag = k * atoms * (atoms - 1)  # Σ 2 s k over the steps that change the correlations

    slower = [
        Step("pursuit without the kernel", (bag + k * (3 * atoms - 1)) * n,
             (6 * atoms - 4) * 4 * k * n, images,
             lambda: TORCH.pursue(correlations, gram, atoms, 0.0), is_part=False),
    ] if engine.name == "triton" else []  # fmt: skip

    def put_back() -> None:
        bands = engine.steps.bands(tables, rows, weights, where, PATCH, side)
        add_bands(canvas, bands, where.rows, 1)

    return [
        Step("take patches", 0, 4 * m * n, images, patches.clone),
        Step("correlations", 2 * m * k * n, 4 * (m + k) * n, images,
             lambda: torch.mm(patches, encoder, out=correlations)),
        Step("pursuit", (bag + k * (3 * atoms - 1)) * n, (4 * k + 12 * atoms) * n, images,
             lambda: engine.steps.pursue(correlations, gram, atoms, 0.0)),
        *slower,
        Step("put back", (2 * (atoms + 1) + 1) * m * n,
             8 * (atoms + 1) * n + 2 * 4 * 3 * PATCH * len(where.rows) * side, images, put_back),
        Step("bilateral filter", 15 * disc * side**2, 2 * 4 * 3 * side**2, images,
             lambda: engine.steps.bilateral(pixels, 9, 80.0, 80.0), is_part=False),
    ]  # fmt: skip
