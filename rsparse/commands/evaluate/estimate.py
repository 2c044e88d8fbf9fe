"""Estimate the size of a plan and the time that its missing parts will take."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from rsparse.attacks import Attack
from rsparse.commands.attack.attacker import BareModel, ModuleFactory
from rsparse.commands.attack.through import DefendedModel
from rsparse.commands.evaluate.columns import PlannedColumn
from rsparse.commands.evaluate.judge import is_judged
from rsparse.commands.evaluate.layout import Matrix
from rsparse.defended.images import DefendedImages
from rsparse.defenses import Defense
from rsparse.models.onnx.classifier import Classifier
from rsparse.models.placed import place
from rsparse.store.folders import is_finished, read_manifest
from rsparse.store.images import ImageFile, Pixels, decode_image
from rsparse.store.inputs import load_inputs
from rsparse.work.device import Device
from rsparse.work.one_core import one_thread
from rsparse.work.steps import DEVICE_BATCH_SIZE
from rsparse.work.workers import LocalWorkers, Workers

MEASURED_IMAGES = 2

Item = TypeVar("Item")


@dataclass(frozen=True)
class EvaluationCost:
    """The size and estimated cost of a plan.

    Attributes
    ----------
    images : int
        Images to judge; an upper bound until the correctly classified images are known.
    is_exact : bool
        Whether ``images`` is exact.
    attacks, threats, defenses, extra : int
        Attacks over all threats, threats and defenses in the plan, and additional columns for the
        checks.
    models_attacked : int
    trials, trials_left, attacks_left : int
        Over all columns, including those for the checks.
    attack_seconds, judge_seconds : float
        Estimated time of the remaining work on ``cores``; judging includes the detector.
    stops_early : bool
        Whether an attack is done with most images long before its last pass, so that
        ``attack_seconds`` is a bound.
    """

    images: int
    is_exact: bool
    attacks: int
    threats: int
    models_attacked: int
    defenses: int
    extra: int
    trials: int
    trials_left: int
    attacks_left: int
    attack_seconds: float
    judge_seconds: float
    cores: int
    stops_early: bool = False

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return dataclasses.asdict(self)


def estimate_cost(
    matrix: Matrix,
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    given: Collection[Path] = (),
) -> EvaluationCost:
    """Count the work and estimate its time from one or two images. Nothing is written.

    ``given`` are folders of attacked images that the run will find, though they are missing now.

    Raises
    ------
    InputError
        If an image or a model cannot be used.
    """
    plan, columns = matrix.plan, matrix.columns
    extra = _extra(matrix)
    everything = list(dict.fromkeys([*columns, *extra]))
    n, is_exact = _count_images(matrix, overwrite)
    folders = {matrix.folder_of(c): c for c in everything if c.attack}
    left = [
        column
        for folder, column in folders.items()
        if overwrite or not (folder in given or is_finished(folder))
    ]
    trials = {
        matrix.trial_path(c, defense): (c, defense)
        for c in everything
        for defense in matrix.defenses_of(c)
    }
    missing = [trial for path, trial in trials.items() if overwrite or not is_judged(path)]
    cores = workers.cores(n)
    pictures = _pictures(matrix)
    attacking = _attack_seconds(matrix, left, pictures)
    judging = _judge_seconds(matrix, missing, pictures)
    examining = _examine_seconds(matrix, overwrite, pictures)
    return EvaluationCost(
        n,
        is_exact,
        sum(len(threat.attacks) for threat in plan.threats),
        len(plan.threats),
        len({threat.attacked.name for threat in plan.threats}),
        len(plan.defenses),
        len(everything) - len(columns),
        len(trials),
        len(missing),
        len(left),
        (attacking.core / cores + attacking.device) * n,
        ((judging.core + examining) / cores + judging.device) * n,
        cores,
        any(column.attack is not None and column.attack.stops_early for column in left),
    )


def _extra(matrix: Matrix) -> list[PlannedColumn]:
    """The columns for the checks.

    The run doubles the steps of the strongest attack, which is not known yet: this is the one that
    is already made, or the most expensive one.
    """
    extra: list[PlannedColumn] = []
    for threat in matrix.plan.threats if matrix.plan.parameters.extra_checks else ():
        extra += matrix.probes(threat).columns
        doubled = [matrix.columns_of(threat, attack) for attack in matrix.doubled_attacks(threat)]
        finished = [found for found in doubled if is_finished(matrix.folder_of(found[0]))]
        chosen = finished or sorted(doubled, key=lambda columns: _passes(columns[0]), reverse=True)
        extra += [column for columns in chosen[:1] for column in columns]
    return extra


def _count_images(matrix: Matrix, overwrite: bool) -> tuple[int, bool]:
    folder = matrix.folder_of(PlannedColumn(matrix.plan.model))
    if not overwrite and is_finished(folder):
        manifest = read_manifest(folder)
        return len(manifest["images"]) if manifest else 0, True
    n, limit = len(load_inputs(matrix.plan.images).images), matrix.plan.parameters.max_images
    n = n if limit is None else min(n, limit)
    return n, not matrix.plan.parameters.only_correct


def _pictures(matrix: Matrix) -> list[Pixels]:
    """Some of the images, at the judged model's input size."""
    images: Sequence[ImageFile] = load_inputs(matrix.plan.images).images
    return [
        matrix.classifier.fit_to_input(decode_image(image.read(), image.path))
        for image in images[:MEASURED_IMAGES]
    ]


def _passes(column: PlannedColumn) -> int:
    return 0 if column.attack is None else column.attack.passes


class _Seconds(NamedTuple):
    """Seconds per image: on one core, and on the device that all cores share."""

    core: float
    device: float


def _attack_seconds(
    matrix: Matrix, columns: Sequence[PlannedColumn], pictures: Sequence[Pixels]
) -> _Seconds:
    """Seconds for one image; attacks that differ only in their scaling run once."""
    if not any(map(_passes, columns)):
        return _Seconds(0.0, 0.0)
    from rsparse.attacks.cost import seconds_per_pass

    device = matrix.device.torch
    runs: dict[tuple[str, ModuleFactory], set[Attack]] = {}
    for column in columns:
        if column.threat is not None and column.attack is not None:
            attack, attacked = column.attack.unscaled(), matrix.attacked_defense(column)
            factory = (
                BareModel(attack.needs_gradients)
                if attacked is None
                else DefendedModel(attack, attacked)
            )
            runs.setdefault((column.threat.attacked.name, factory), set()).add(attack)
    seconds = sum(
        seconds_per_pass(matrix.models[name], pictures, device, factory)
        * sum(attack.passes for attack in attacks)
        for (name, factory), attacks in runs.items()
    )
    return _Seconds(seconds, 0.0) if device == "cpu" else _Seconds(0.0, seconds)


def _judge_seconds(
    matrix: Matrix, trials: Sequence[tuple[PlannedColumn, Defense]], pictures: Sequence[Pixels]
) -> _Seconds:
    """Seconds for one image of each trial; judges of the same images share the cleaning."""
    cleaned = [d for _, d in {(matrix.folder_of(c), d): (c, d) for c, d in trials}.values()]
    judges = [column.judged.name for column, _ in trials]
    cleaning = {
        defense: _cleaning(matrix.judging.images(defense), pictures)
        for defense in dict.fromkeys(cleaned)
    }
    classifying = {
        name: _classifying(matrix.judging.device, matrix.models[name], pictures)
        for name in dict.fromkeys(judges)
    }
    parts = [*map(cleaning.__getitem__, cleaned), *map(classifying.__getitem__, judges)]
    return _Seconds(sum(part.core for part in parts), sum(part.device for part in parts))


def _examine_seconds(matrix: Matrix, overwrite: bool, pictures: Sequence[Pixels]) -> float:
    """Seconds of the detector for one image in all columns, on one core."""
    watch = matrix.watch
    if watch is None:
        return 0.0
    places = dict.fromkeys(column.place for column in matrix.columns)
    left = sum(overwrite or not watch.has_examined(place) for place in places)
    return left * _seconds(watch.look, pictures) if left else 0.0


def _cleaning(images: DefendedImages, pictures: Sequence[Pixels]) -> _Seconds:
    cores = _seconds(images.prepare, pictures)
    if not images.uses_device:
        return _Seconds(cores, 0.0)
    batch = [images.prepare(pictures[0])] * DEVICE_BATCH_SIZE
    return _Seconds(cores, _seconds_in(images.finish, batch))


def _classifying(device: Device, judge: Classifier, pictures: Sequence[Pixels]) -> _Seconds:
    logits = place(judge, device).logits
    if not device.takes_images:
        return _Seconds(_seconds(lambda picture: logits([picture]), pictures), 0.0)
    return _Seconds(0.0, _seconds_in(logits, [judge.fit_to_input(pictures[0])] * DEVICE_BATCH_SIZE))


def _seconds_in(work: Callable[[Sequence[Item]], object], batch: Sequence[Item]) -> float:
    """Seconds for one item of a batch; the first call only warms up."""
    return _seconds(lambda _: work(batch), [None]) / len(batch)


def _seconds(work: Callable[[Item], object], pictures: Sequence[Item]) -> float:
    """Seconds for the last picture; the earlier ones only warm up."""
    taken = 0.0
    with one_thread():
        for picture in pictures if len(pictures) > 1 else [*pictures, *pictures]:
            start = time.perf_counter()
            work(picture)
            taken = time.perf_counter() - start
    return taken
