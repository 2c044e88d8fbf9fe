"""Send the results of an evaluation to a tracker of experiments, through its own client."""

from __future__ import annotations

import json
import math
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsparse.errors import InputError, missing_package
from rsparse.evaluation.checks import count_outcomes
from rsparse.evaluation.results import Evaluation
from rsparse.evaluation.statistics import defense_rows, rows

EXPERIMENT = "rsparse"
FORMS = "mlflow:ADDRESS or tensorboard:FOLDER"
_FILES = ("results.csv", "defenses.csv", "checks.csv")


@dataclass(frozen=True)
class Tracked:
    """What a tracker gets of an evaluation.

    Attributes
    ----------
    name : str
        Of the run: that of the evaluation's folder.
    parameters : dict of str to str
    metrics : dict of str to float
        Shares from 0 to 1: ``SCENARIO/DEFENSE/clean``, ``…/mean_attacked``, ``…/worst_case`` and
        ``…/ATTACK``; and the number of checks by outcome.
    files : tuple of Path
    """

    name: str
    parameters: dict[str, str]
    metrics: dict[str, float]
    files: tuple[Path, ...]

    @classmethod
    def of(cls, evaluation: Evaluation, folder: Path) -> Tracked:
        parameters = {
            "model": evaluation.model,
            "images": str(len(evaluation.names)),
            "only_correct": str(evaluation.only_correct),
            "seed": str(evaluation.record.get("seed")),
            "defenses": ", ".join(defense.text for defense in evaluation.defenses),
            "attacks": ", ".join(dict.fromkeys(column.attack for column in evaluation.columns)),
        }
        metrics = {_tag(name): value for name, value in _metrics(evaluation) if value == value}
        files = tuple(folder / name for name in _FILES if (folder / name).is_file())
        return cls(folder.resolve().name, parameters, metrics, files)


def _metrics(evaluation: Evaluation) -> Iterator[tuple[str, float]]:
    for row in defense_rows(evaluation):
        for name in ("clean", "mean_attacked", "worst_case"):
            yield _place(row, row["defense"], name), row[name]
    for row in rows(evaluation):
        if row["family"] != "clean":
            yield _place(row, row["defense"], row["attack"]), row["top1"]
    for outcome, number in count_outcomes(evaluation.checks).items():
        yield f"checks/{outcome}", float(number)


def _place(row: dict[str, Any], *parts: str) -> str:
    made_on = [f"on {row['source']}"] if row["source"] not in ("", row["judged"]) else []
    return "/".join([row["scenario"], *made_on, *parts])


def _tag(name: str) -> str:
    """A name that all trackers take."""
    return re.sub(r"[^\w./ -]", "-", name, flags=re.ASCII)


class Tracker(ABC):
    """A tracker that is ready to receive a run."""

    @abstractmethod
    def send(self, run: Tracked) -> str:
        """Send a run; return where it is.

        Raises
        ------
        InputError
            If the tracker does not take it.
        """


def open_trackers(texts: Sequence[str]) -> list[Tracker]:
    """Open the trackers of ``--log``, before anything is computed.

    Raises
    ------
    InputError
        If a text has another form, a client is not installed, or a tracker cannot be reached.
    """
    return [_open(text) for text in texts]


def _open(text: str) -> Tracker:
    kind, _, place = text.partition(":")
    if kind == "mlflow":
        return _MlFlow(place)
    if kind == "tensorboard" and place:
        return _TensorBoard(Path(place))
    raise InputError(f"log: expected {FORMS}, got {text!r}")


class _MlFlow(Tracker):
    """MLflow: an address of a server, or by default that of MLFLOW_TRACKING_URI."""

    def __init__(self, address: str) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from mlflow import MlflowClient
        except ImportError as error:
            raise missing_package("log: mlflow needs", "mlflow-skinny", "mlflow") from error
        self.address = address or "mlflow"
        try:
            self._client: Any = MlflowClient(tracking_uri=address or None)
            found = self._client.get_experiment_by_name(EXPERIMENT)
            self._experiment = (
                self._client.create_experiment(EXPERIMENT) if found is None else found.experiment_id
            )
        except Exception as error:  # its own, and those of the network
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> InputError:
        detail = " ".join(str(error).split())[:200] or type(error).__name__
        return InputError(f"log: {self.address}: cannot be reached: {detail}")

    def send(self, run: Tracked) -> str:
        try:
            made = self._client.create_run(self._experiment, run_name=run.name)
            identity = made.info.run_id
            for name, value in run.parameters.items():
                self._client.log_param(identity, name, value[:6000])
            for name, number in run.metrics.items():
                self._client.log_metric(identity, name, number)
            for file in run.files:
                self._client.log_artifact(identity, str(file))
            self._client.set_terminated(identity)
        except Exception as error:
            raise self._failed(error) from error
        return f"run {identity} of the experiment {EXPERIMENT} in {self.address}"


class _TensorBoard(Tracker):
    """TensorBoard: a folder of event files; each evaluation has its own below it."""

    def __init__(self, folder: Path) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            package = error.name or "tensorboard"
            raise missing_package("log: tensorboard needs", package, "tensorboard") from error
        if folder.exists() and not folder.is_dir():
            raise InputError(f"log: {folder}: is not a folder")
        self.folder, self._writer = folder, SummaryWriter

    def send(self, run: Tracked) -> str:
        place = self.folder / run.name
        try:
            with self._writer(str(place)) as writer:
                writer.add_text(
                    "parameters", f"```json\n{json.dumps(run.parameters, indent=1)}\n```"
                )
                for name, number in run.metrics.items():
                    if math.isfinite(number):
                        writer.add_scalar(name, number, 0)
        except OSError as error:
            raise InputError(f"log: {place}: cannot be written: {error.strerror}") from error
        return str(place)
