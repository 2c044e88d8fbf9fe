"""Save and load the state of a training, as safetensors, which cannot contain code.

Tensors are ``now/NAME`` and ``best/NAME`` for each weight that changes, by its name in the graph,
and ``optimizer/KEY/NAME`` for the optimiser's state. Everything else is JSON in the header. The
last line is the file's checksum (``rsparse.store.checksums``).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from rsparse.errors import InputError
from rsparse.models.torch.weights import Trainable
from rsparse.store.checksums import checksum_line, without_checksum
from rsparse.store.files import read_bytes, write_atomic
from rsparse.training.learner import Score

Tensors = dict[str, torch.Tensor]
_HEADER = "rsparse"


@dataclass
class State:
    """The progress of a training.

    Attributes
    ----------
    epoch, batch : int
        The next epoch, and the next batch within it; both count from 0.
    score : Score
        The score of this epoch's batches so far.
    history : list of dict
        The figures of the finished epochs; the first entry is from before the training.
    best : dict of str to Tensor
        The weights after the epoch with the lowest validation loss.
    """

    epoch: int = 0
    batch: int = 0
    score: Score = field(default_factory=Score)
    history: list[dict[str, Any]] = field(default_factory=list)
    best: Tensors = field(default_factory=dict)


def save_checkpoint(
    path: Path, run: str, state: State, trainable: Trainable, optimizer: torch.optim.Optimizer
) -> None:
    """Write a checkpoint, whole or not at all; ``run`` identifies the training it belongs to."""
    from safetensors.torch import save

    tensors = {f"now/{name}": tensor for name, tensor in trainable.tensors().items()}
    tensors |= {f"best/{name}": tensor for name, tensor in state.best.items()}
    for name, parameter in trainable.parameters.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimizer/{key}/{name}"] = value
    header = {
        "run": run,
        "epoch": state.epoch,
        "batch": state.batch,
        "score": asdict(state.score),
        "history": state.history,
    }
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = save(plain, {_HEADER: json.dumps(header)})
    content += checksum_line(content)
    write_atomic(path, content)


def load_checkpoint(
    path: Path, run: str, trainable: Trainable, optimizer: torch.optim.Optimizer
) -> State | None:
    """Resume from the checkpoint of a training; ``None`` if there is none or it is another run's.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    if not path.exists():
        return None
    content = without_checksum(read_bytes(path))
    try:
        if content is None:
            raise ValueError("the checksum does not hold")
        return _resumed(content, run, trainable, optimizer)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as e:
        raise InputError(f"{path}: is a damaged checkpoint; remove it to start again") from e


def _resumed(
    content: bytes, run: str, trainable: Trainable, optimizer: torch.optim.Optimizer
) -> State | None:
    """The state in a checkpoint, whose weights are loaded; None if it is another run's."""
    from safetensors.torch import load

    length = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_HEADER])
    if header["run"] != run:
        return None
    parts = _by_part(load(content))
    trainable.load(parts["now"])
    for name, parameter in trainable.parameters.items():
        kept = {key: part[name] for key, part in parts.items() if name in part}
        state = {
            key.removeprefix("optimizer/"): _like(value, parameter)
            for key, value in kept.items()
            if key.startswith("optimizer/")
        }
        if state:
            optimizer.state[parameter] = state
    best = {
        name: _like(tensor, trainable.tensors()[name])
        for name, tensor in parts.get("best", {}).items()
    }
    return State(
        header["epoch"], header["batch"], Score(**header["score"]), header["history"], best
    )


def _by_part(tensors: Tensors) -> dict[str, Tensors]:
    """Group tensors as ``{"now": {…}, "best": {…}, "optimizer/exp_avg": {…}}``."""
    parts: dict[str, Tensors] = {}
    for key, tensor in tensors.items():
        part, _, name = key.partition("/")
        if part == "optimizer":
            kind, _, name = name.partition("/")
            part = f"{part}/{kind}"
        parts.setdefault(part, {})[name] = tensor
    return parts


def _like(value: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Move a tensor to the device and layout of ``other``; counters stay on the CPU."""
    if value.dim() == 0:
        return value
    return torch.empty_like(other, dtype=value.dtype).copy_(value)
