"""How many images are attacked together where that is left open."""

from __future__ import annotations

from rsparse.attacks.backend import require_foolbox

require_foolbox()

import torch  # noqa: E402

ON_A_CPU = 4  # larger batches leave the caches, and cores take a batch each
AT_MOST = 64


def batch_that_fits(twin: torch.nn.Module, size: tuple[int, int], device: str) -> int:
    """Images of a size (height, width) that are attacked together on a device.

    On a GPU a power of two: as many passes, forward and back, as half of its memory holds, by what
    a pass of two images takes. It depends on the model of the GPU, not on what else uses it.
    """
    if not device.startswith("cuda"):
        return ON_A_CPU
    room = torch.cuda.get_device_properties(device).total_memory // 2
    fits = max(1, min(AT_MOST, room // max(1, _bytes_an_image(twin, size, device))))
    return 1 << (fits.bit_length() - 1)


def _bytes_an_image(twin: torch.nn.Module, size: tuple[int, int], device: str) -> int:
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    x = torch.zeros(2, 3, *size, device=device, requires_grad=True)
    twin(x).sum().backward()
    return int(torch.cuda.max_memory_allocated(device) - before) // 2
