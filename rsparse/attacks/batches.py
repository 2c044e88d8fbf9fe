"""Choose how many images to attack together if the caller leaves it open."""

from __future__ import annotations

from rsparse.attacks.backend import require_foolbox

require_foolbox()

import torch  # noqa: E402

from rsparse.attacks.backend import has_gradients  # noqa: E402

CPU_BATCH = 4  # larger batches do not fit the caches, and each core takes its own batch
MAX_BATCH = 64


def batch_that_fits(twin: torch.nn.Module, size: tuple[int, int], device: str) -> int:
    """Return how many images of a size (height, width) to attack together on a device.

    On a GPU this is a power of two: the largest batch whose forward and backward pass fits half of
    the memory, extrapolated from a pass of two images. It depends on the model of the GPU, not on
    what else uses it.
    """
    if not device.startswith("cuda") or not has_gradients(twin):
        return CPU_BATCH
    room = torch.cuda.get_device_properties(device).total_memory // 2
    fits = max(1, min(MAX_BATCH, room // max(1, _bytes_per_image(twin, size, device))))
    return 1 << (fits.bit_length() - 1)


def _bytes_per_image(twin: torch.nn.Module, size: tuple[int, int], device: str) -> int:
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    x = torch.zeros(2, 3, *size, device=device, requires_grad=True)
    twin(x).sum().backward()
    return int(torch.cuda.max_memory_allocated(device) - before) // 2
