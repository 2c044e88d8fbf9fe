"""A defense as a torch module: in front of a network, or among its transforms."""

from __future__ import annotations

from typing import Any

import torch

from rsparse.api.cleaning import Dictionaries, find_defense, resources_of
from rsparse.attacks.through.backwards import chosen_backward
from rsparse.attacks.through.cleaning import as_tensor, clean_tensor, to_images
from rsparse.defended.images import DefendedImages
from rsparse.defenses import Defense
from rsparse.errors import InputError
from rsparse.work.device import CPU, Device


class Purifier(torch.nn.Module):
    """Clean images as ``rsparse purify`` does.

    It takes RGB images with the channels first, before they are normalised, and returns them in the
    same shape and type, on the same device. Floating-point images are rounded to 8 bits, as in a
    file, so the results are the bytes that the command writes. On a GPU the defense's GPU part runs
    there, which may differ from the CPU by one grey level. Where autograd asks for a gradient,
    the CPU cleans and the gradient passes the defense by ``backward``, as an attacker who knows the
    defense would compute it.

    Parameters
    ----------
    defense : Defense or str
        One defense, as on the command line: ``"policy:default"``, ``"jpeg:quality=40"``.
    dictionaries : Dictionary or path, or mapping of str to them, optional
        Used by ``regionsparse`` and most policies. In a mapping, "" is the default dictionary; by
        default that is the one that comes with rsparse.
    seed : int
        Seed of the defenses that draw random numbers.
    backward : str, optional
        How a gradient passes the defense; by default the strongest that it has.

    Raises
    ------
    InputError
        If there is no such defense or backward, or the defense lacks a dictionary.

    Examples
    --------
    >>> import torch
    >>> from rsparse.torch import Purifier
    >>> network = torch.nn.Sequential(Purifier("jpeg:quality=40"), torch.nn.Flatten())
    >>> network(torch.full((2, 3, 8, 8), 0.5)).shape
    torch.Size([2, 192])
    """

    def __init__(
        self,
        defense: Defense | str = "policy:default",
        dictionaries: Dictionaries = None,
        *,
        seed: int = 0,
        backward: str | None = None,
    ) -> None:
        super().__init__()
        self.defense = find_defense(defense)
        self.resources = resources_of(self.defense, dictionaries, seed)
        self.defense.check(self.resources)
        self.backward_name = chosen_backward(self.defense, backward)
        self._on: dict[Device, DefendedImages] = {}

    def forward(self, x: torch.Tensor, *others: Any) -> Any:
        """Clean images.

        Parameters
        ----------
        x : tensor of shape (n, 3, h, w) or (3, h, w)
            uint8, or floating point in [0, 1].
        *others
            What a transform gets with an image, such as its label; returned as given.

        Returns
        -------
        tensor like ``x``, or a tuple of it and the others

        Raises
        ------
        InputError
            If ``x`` has another shape, type or range, or an image an unusable size.
        """
        _check(x)
        batch = x.as_subclass(torch.Tensor)
        batch = batch if x.ndim == 4 else batch[None]
        cleaned = self._clean(batch)
        cleaned = cleaned if x.ndim == 4 else cleaned[0]
        if type(x) is not torch.Tensor:  # an image of torchvision's transforms
            cleaned = cleaned.as_subclass(type(x))
        return (cleaned, *others) if others else cleaned

    def _clean(self, x: torch.Tensor) -> torch.Tensor:
        if x.requires_grad and torch.is_grad_enabled():
            return clean_tensor(x, self.defense, self.resources, self.backward_name)
        if x.dtype != torch.uint8:
            return as_tensor(self._images_on(x.device).clean(to_images(x)), x)
        arrays = list(x.cpu().permute(0, 2, 3, 1).contiguous().numpy())
        cleaned = self._images_on(x.device).clean(arrays)
        whole = [torch.from_numpy(image).permute(2, 0, 1) for image in cleaned]
        return torch.stack(whole).contiguous().to(x.device)

    def _images_on(self, device: torch.device) -> DefendedImages:
        place = Device(str(device)) if device.type == "cuda" else CPU
        if place not in self._on:
            self._on[place] = DefendedImages(self.defense, self.resources, place)
        return self._on[place]

    def extra_repr(self) -> str:
        return self.defense.spec


def _check(x: Any) -> None:
    if not isinstance(x, torch.Tensor):
        raise InputError(
            f"Purifier: expected a tensor, got {type(x).__name__}; "
            "put ToTensor or ToImage before it"
        )
    shape = tuple(x.shape)
    if x.ndim not in (3, 4) or shape[-3] != 3:
        is_last = x.ndim in (3, 4) and shape[-1] == 3
        hint = "; move the channels with .movedim(-1, -3)" if is_last else ""
        raise InputError(f"Purifier: expected shape (n, 3, h, w) or (3, h, w), got {shape}{hint}")
    if len(x) == 0 or x.numel() == 0:
        raise InputError(f"Purifier: expected at least one image, got shape {shape}")
    if x.dtype == torch.uint8:
        return
    if not x.is_floating_point():
        raise InputError(f"Purifier: expected uint8, or floating point in [0, 1], got {x.dtype}")
    low, high = (float(value) for value in torch.aminmax(x.detach()))
    if not (low >= -_SLACK and high <= 1 + _SLACK):
        raise InputError(
            f"Purifier: expected values in [0, 1], got {low:g} to {high:g}; "
            "put it before the normalisation"
        )


_SLACK = 1e-3
"""How far outside [0, 1] rounding errors of an attack or a resize may lead."""
