"""Run a graph in memory with onnxruntime."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from rsparse.errors import InputError
from rsparse.models.onnx.loops import does_nothing, loops_of
from rsparse.models.telemetry import import_onnxruntime

Arrays = list[NDArray[np.float32]]

SECONDS = 10.0
"""Time in which a graph with a loop must give its outputs, as loops may never end."""


class Session:
    """Runs a graph with one image input, with the batch size that the graph is made for.

    A graph with an open batch size runs one image at a time. On CPUs this is as fast as larger
    batches, and the result for an image cannot depend on its neighbours. A graph with a fixed
    batch of n runs groups of n; the last group is padded with copies of its last image.

    Parameters
    ----------
    model : onnx.ModelProto
    path : Path
        The file it came from, for messages.
    batch : int or None
        The fixed batch.
    threads : int
        Cores used within one forward pass.
    """

    def __init__(
        self, model: onnx.ModelProto, path: Path, batch: int | None = None, threads: int = 1
    ) -> None:
        self.path = path
        self.batch = batch or 1
        loops = loops_of(model)
        if any(map(does_nothing, loops)):
            raise InputError(f"{path}: has a loop that computes nothing")
        self.has_loops = bool(loops)
        self._session = open_runtime(model, path, threads)
        self._input = self._session.get_inputs()[0].name

    def run(self, inputs: NDArray[np.float32]) -> Arrays:
        """Return all outputs, each of shape (n, …), for inputs of shape (n, …)."""
        if len(inputs) == 0:
            raise ValueError("no image to run")
        groups = list(self._groups(inputs))
        return [np.concatenate(parts)[: len(inputs)] for parts in zip(*groups, strict=True)]

    def _groups(self, inputs: NDArray[np.float32]) -> Iterator[Arrays]:
        for start in range(0, len(inputs), self.batch):
            group = inputs[start : start + self.batch]
            missing = self.batch - len(group)
            if missing:
                group = np.concatenate([group, np.repeat(group[-1:], missing, axis=0)])
            yield self._run_group(group)

    def _run_group(self, group: NDArray[np.float32]) -> Arrays:
        run = self._run_within_seconds if self.has_loops else self._session.run
        try:
            outputs: list[Any] = run(None, {self._input: group})
        except InputError:
            raise
        except Exception as error:  # onnxruntime raises its own types
            raise InputError(
                f"{self.path}: onnxruntime cannot run it: {_first_line(error)}"
            ) from error
        return outputs

    def _run_within_seconds(self, names: None, inputs: dict[str, Any]) -> list[Any]:
        options = import_onnxruntime().RunOptions()
        timer = Timer(SECONDS, setattr, (options, "terminate", True))
        timer.daemon = True
        timer.start()
        try:
            outputs: list[Any] = self._session.run(names, inputs, options)
        except Exception as error:
            if options.terminate:
                raise InputError(
                    f"{self.path}: has a loop that did not end within {SECONDS:g} s"
                ) from error
            raise
        finally:
            timer.cancel()
        return outputs


def open_runtime(model: onnx.ModelProto, where: Path | str, threads: int = 1) -> Any:
    """Open a session of onnxruntime on the CPU.

    Raises
    ------
    InputError
        If onnxruntime refuses the graph; the message begins with ``where``.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised; do not log them as well
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,
        )
    except Exception as error:  # onnxruntime raises its own types
        text = _too_new(str(error), model) or f"onnxruntime cannot run it: {_first_line(error)}"
        raise InputError(f"{where}: {text}") from error


_OPSET = re.compile(r"support for domain (\S+) is till opset (\d+)")
_FORMAT = re.compile(r"max supported IR version: (\d+)")


def _too_new(text: str, model: onnx.ModelProto) -> str | None:
    """What to do about a file that is newer than onnxruntime, if a message says that it is."""
    version = import_onnxruntime().__version__
    found = _OPSET.search(text)
    if found is not None:
        domain, newest = found.groups()
        names = ("", "ai.onnx") if domain == "ai.onnx" else (domain,)
        own = max((one.version for one in model.opset_import if one.domain in names), default=0)
        return (
            f"has operator set {own} of {domain}, but onnxruntime {version} runs sets up to "
            f"{newest}; export it with an older one (opset_version={newest}), or install a newer "
            "onnxruntime"
        )
    found = _FORMAT.search(text)
    if found is not None:
        return (
            f"has ONNX's IR version {model.ir_version}, but onnxruntime {version} reads versions "
            f"up to {found[1]}; save it with an older one (model.ir_version = {found[1]}), or "
            "install a newer onnxruntime"
        )
    return None


_SOURCE = re.compile(r"^/\S+:\d+ ")


def _first_line(error: Exception) -> str:
    """The runtime's message without its code and place in the source, on one line."""
    text = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    text = text.split(" : ", 3)[-1] if text.startswith("[ONNXRuntimeError]") else text
    if _SOURCE.match(text):
        text = _without_signature(_SOURCE.sub("", text))
    return text.strip()[:300]


def _without_signature(text: str) -> str:
    """What follows the C++ function with which a text begins, or the text if nothing does."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == ")" and depth == 0:
            return text[place + 1 :].removeprefix(" const").strip() or text
    return text
