"""One run of attacks on the same images: the attacked model, the batches, and the cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TypeVar

from rsparse.attacks import Attack, attack_text
from rsparse.attacks.backend import require_foolbox
from rsparse.attacks.scaling import Scaling
from rsparse.commands.attack.attacker import (
    Attacker,
    BareModel,
    Batch,
    FindTargets,
    Target,
    make_batches,
)
from rsparse.commands.attack.campaign import (
    Campaign,
    KeepResult,
    KeptResults,
    Part,
    drop_others,
    is_written,
)
from rsparse.commands.attack.cost import AttackCost, group_by_unscaled
from rsparse.commands.attack.origin import CHOSEN, SCALING, Origin, known_labels
from rsparse.commands.attack.summary import AttackSummary, summarize
from rsparse.commands.attack.through import AttackedDefense, DefendedModel
from rsparse.errors import InputError
from rsparse.models.diagnosis import hints
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.spec import InputOptions
from rsparse.options.attack import AttackRunParameters
from rsparse.options.labels import LabelOptions
from rsparse.store.entries import require_keys
from rsparse.store.folders import OutputFolder, read_manifest, record_of
from rsparse.store.hdf5 import add_dataset, create_hdf5
from rsparse.store.inputs import load_inputs
from rsparse.store.journal import Entry
from rsparse.store.labels import Labels
from rsparse.store.records import FLOATS
from rsparse.work.device import choose_device
from rsparse.work.progress import Progress, tell
from rsparse.work.runs import refuse_all_failed, save_png
from rsparse.work.steps import failure
from rsparse.work.workers import ParallelMap, Workers, chunked

Result = TypeVar("Result")

FLOAT_FILE = "float.h5"
MIN_PARALLEL_SECONDS = 20.0  # a process needs about 4 s to import torch and load the model


def output_exists(place: Path) -> InputError:
    """The error for an output that already exists."""
    return InputError(f"{place}: exists; choose another output or pass --overwrite")


class AttackRun:
    """The images, the classifier and the batches that all attacks of one command share."""

    def __init__(
        self,
        paths: Sequence[Path],
        model: Path,
        attacks: Collection[Attack],
        input_options: InputOptions | None,
        labels: LabelOptions,
        parameters: AttackRunParameters,
        workers: Workers,
        chosen: Mapping[str, int] | None = None,
        through: AttackedDefense | None = None,
    ) -> None:
        self.through = through
        self.inputs = load_inputs(paths)
        require_foolbox()
        device = choose_device(parameters.device, workers, for_gradients=True).torch
        self._workers = workers if device == "cpu" else workers.beside_device()
        self._shared_paths = [*paths, model]
        classifier = load_classifier(model, input_options).check()
        for attack in attacks:
            attack.check_classes(classifier.n_classes)
        if chosen is None:
            allow_predicted = parameters.predicted_labels
            self.labels = known_labels(self.inputs, labels, classifier, allow_predicted)
        else:
            self.inputs, self.labels = self.inputs.only(chosen), Labels(chosen, CHOSEN)
        module = BareModel(any(attack.needs_gradients for attack in attacks))
        self.attacker = Attacker(
            classifier, device, parameters.keep_size, parameters.seed, module
        ).check()
        self._batch_size = parameters.batch_size or self.attacker.batch_size
        self.parameters = replace(parameters, batch_size=self._batch_size)
        self.origin = Origin(
            self.inputs, classifier, self.parameters, self.attacker.engine, self.labels, through
        )
        self.targets: list[Target] = []
        self.batches: list[Batch] = []
        self.failed: list[Entry] = [] if chosen is not None else list(self.inputs.failed)
        self.left_out = 0
        self.hints: list[str] = []

    def _attacker_of(self, attack: Attack) -> Attacker:
        """The attacker of the bare model, or of the model with the defense."""
        if self.through is None:
            return self.attacker
        return replace(self.attacker, factory=DefendedModel(attack, self.through)).check()

    def find_targets(self, progress: Progress) -> None:
        """Read and classify all images, and fix the batches in which they are attacked."""
        tell(progress, self.labels.sentences())
        progress.start("classify", len(self.inputs.images))
        step = FindTargets(self.attacker, self.labels.by_name)
        predicted: dict[str, int] = {}
        some = list(chunked(self.inputs.images, 16))
        found = self._workers.map(step, some, len(some), shared_paths=self._shared_paths)
        for targets, unusable in found:
            kept = [t for t in targets if t.is_correct or not self.parameters.only_correct]
            self.targets += kept
            self.left_out += len(targets) - len(kept)
            predicted |= {target.image.name: target.prediction for target in targets}
            self.failed += [failure(image, error) for image, error in unusable]
            progress.advance(len(targets) + len(unusable))
        refuse_all_failed(self.failed, len(self.targets) + self.left_out, None)
        if self.labels.origin != CHOSEN:  # the selection has given its own
            self.hints = hints(
                self.attacker.classifier, self.inputs.images, self.labels.by_name, predicted
            )
        tell(progress, self.hints)
        if not self.targets:
            raise InputError(
                f"none of the {self.left_out} images is classified correctly, so none is left to "
                "attack; check the labels and the model's input, or pass --all-images"
            )
        self.batches = make_batches(self.targets, self._batch_size)

    def cost(self, folders: Mapping[Attack, OutputFolder]) -> AttackCost:
        """Estimate the cost of the attacks that write to these folders from one or two passes."""
        from rsparse.attacks.cost import seconds_per_pass

        passes = images = 0
        for group in group_by_unscaled(folders):
            unscaled, folder = next(iter(group)).unscaled(), next(iter(group.values()))
            left = sum(target.image.name not in folder.journal for target in self.targets)
            passes += left * unscaled.passes
            images += left
        seconds = 0.0
        if passes:
            pictures = list(self.attacker.load(self.batches[0])[:2])
            attacker = self._attacker_of(next(iter(folders)))
            seconds = seconds_per_pass(
                attacker.classifier, pictures, attacker.device, attacker.factory
            )
        cores = self._workers.cores(len(self.batches))
        early = any(attack.stops_early for attack in folders)
        return AttackCost(len(self.targets), images, passes, seconds, cores, early)

    def _map_attack(
        self, step: Callable[[Batch], Result], batches: Sequence[Batch], folder: OutputFolder
    ) -> Iterator[Result]:
        """Map over batches, in any order.

        Attacks hold the interpreter's lock and draw from random numbers of the whole process, so
        they need processes. The first one's duration, not their number, decides on these.
        """
        return self._workers.map(
            step,
            batches,
            len(batches),
            in_order=False,
            in_processes=True,
            parallel_after=MIN_PARALLEL_SECONDS,
            shared_paths=[*self._shared_paths, folder.journal.path],
        )

    @property
    def _digests(self) -> dict[str, str]:
        """SHA-256 of the attacked images' files, by name."""
        return {target.image.name: target.digest for target in self.targets}

    def summary_of_finished(self, attack: Attack, place: Path) -> AttackSummary:
        """The summary of an artifact that an interrupted run of this command has finished."""
        manifest = read_manifest(place)
        if manifest is None:
            raise output_exists(place)
        require_keys(manifest, place)
        record, entries = record_of(manifest), manifest["images"]
        if not self.origin.matches(attack, record, self._digests):
            raise output_exists(place)
        scaling = record["parameters"].get(SCALING)
        return summarize(attack_text(attack), str(place), entries, len(entries), scaling)

    def attack(
        self, folders: Mapping[Attack, OutputFolder], output: Path, progress: Progress
    ) -> dict[Attack, AttackSummary]:
        """Run an attack and write its results with each requested scaling."""
        unscaled = next(iter(folders)).unscaled()
        kept = None
        if self.parameters.keep_float or len(folders) > 1 or any(a.average_d for a in folders):
            targets = [[target.image.name, target.digest, target.label] for target in self.targets]
            run = {**self.origin.job(unscaled).identity(), "targets": targets}
            kept = KeptResults(output, run)
        campaign = Campaign(self._attacker_of(unscaled), unscaled, kept)
        summaries = {}
        spent = 0.0
        for attack, folder in folders.items():
            scaling = None
            if attack.average_d is not None:
                progress.start(_task(unscaled), len(self.targets))
                for n_images, seconds in self._map_attack(
                    KeepResult(campaign), self.batches, folder
                ):
                    spent += seconds
                    progress.advance(n_images)
                scaling = campaign.scaling_to(attack.average_d, self.batches)
            summaries[attack] = self.write(campaign, attack, folder, scaling, progress, spent)
        if kept is not None:
            kept.remove()
        return summaries

    def write(
        self,
        campaign: Campaign,
        attack: Attack,
        folder: OutputFolder,
        scaling: Scaling | None,
        progress: Progress,
        spent: float = 0.0,
    ) -> AttackSummary:
        """Write the images that the folder lacks, and finish it; ``spent`` are earlier seconds."""
        tau = attack.factor if scaling is None else scaling.tau
        drop_others(folder.journal, self.targets)
        pending = [b for b in self.batches if not is_written(b, folder, tau)]
        resumed = len(self.targets) - sum(len(batch.targets) for batch in pending)
        progress.start(_task(attack), len(self.targets), resumed)
        floats = {"float_file": FLOAT_FILE} if self.parameters.keep_float else {}
        with self._workers.map_of_parts() as map_parts:
            step = _AttackAndWrite(campaign, tau, folder.path, floats, map_parts)
            for entries, seconds in self._map_attack(step, pending, folder):
                spent += seconds
                for entry in entries:
                    folder.journal.add(entry)
                progress.advance(len(entries))
        if floats:
            record = self.origin.record(attack, self._digests, scaling, FLOATS)
            with create_hdf5(folder.path / FLOAT_FILE, record) as file:
                for target, x_adv in campaign.floats(self.batches, tau):
                    add_dataset(file, f"{target.image.name}.png", x_adv)
        summary = summarize(
            attack_text(attack),
            str(folder.path),
            folder.journal.entries(),
            resumed,
            None if scaling is None else vars(scaling),
            spent,
        )
        folder.finish(self.origin.record(attack, self._digests, scaling), self.failed)
        return summary


@dataclass(frozen=True)
class _AttackAndWrite:
    """Attacks a batch and writes its images."""

    campaign: Campaign
    tau: float
    output: Path
    extra: Mapping[str, str]
    map_parts: ParallelMap

    def __call__(self, batch: Batch) -> tuple[list[Entry], float]:
        """The entries, and the seconds of the attack."""
        start = time.perf_counter()
        parts = self.campaign.parts(batch)
        seconds = time.perf_counter() - start
        return list(chain.from_iterable(self.map_parts(self.write, parts))), seconds

    def write(self, part: Part) -> list[Entry]:
        """Measure and write the images of a part, and return their entries."""
        return [
            {
                **save_png(self.output, item.target.image.name, item.pixels),
                "source_sha256": item.target.digest,
                **item.measured,
                **self.extra,
            }
            for item in self.campaign.measured(part, self.tau)
        ]


def _task(attack: Attack) -> str:
    """The task's name next to the progress bar, such as ``bim-eps=8, 10 passes an image``."""
    passes = attack.passes
    return f"{attack_text(attack)}, {passes} pass{'es' * (passes > 1)} an image"
