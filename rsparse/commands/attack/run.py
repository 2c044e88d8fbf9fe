"""One run of attacks on the same images: who is attacked, in which batches, and at what cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TypeVar

from rsparse.attacks import Attack, attack_text
from rsparse.attacks.backend import require_foolbox
from rsparse.attacks.scaling import Scaling
from rsparse.commands.attack.attacker import Aiming, Attacker, Batch, Target, make_batches
from rsparse.commands.attack.campaign import (
    Campaign,
    Keeping,
    KeptResults,
    Part,
    forget_others,
    is_written,
)
from rsparse.commands.attack.origin import SCALING, Origin, known_labels
from rsparse.commands.attack.summary import AttackSummary, summarize
from rsparse.commands.attack.through import AttackedDefense, DefendedModel
from rsparse.errors import InputError
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.spec import InputOptions
from rsparse.options.attack import AttackRunParameters
from rsparse.store.folders import OutputFolder, read_manifest, record_of
from rsparse.store.hdf5 import add_dataset, create_hdf5
from rsparse.store.inputs import load_inputs
from rsparse.store.journal import Entry
from rsparse.store.records import FLOATS
from rsparse.work.device import choose_device
from rsparse.work.progress import Progress
from rsparse.work.runs import refuse_all_failed, save_png
from rsparse.work.steps import failure
from rsparse.work.workers import ParallelMap, Workers, chunked

Item = TypeVar("Item")
Result = TypeVar("Result")

FLOAT_FILE = "float.h5"
PROCESSES_PAY_FROM = 20.0  # seconds; each needs about four to import torch and load the model


@dataclass(frozen=True)
class AttackCost:
    """What is left of the attacks, before they begin.

    Attributes
    ----------
    images : int
        To attack.
    results : int
        Images over all attacks that are not there yet; attacks that differ by their scaling alone
        are run once.
    passes : int
        Forward and back through the model for all of them, about: some attacks stop earlier.
    seconds_per_pass : float
        Measured, on one core or the GPU; 0 where nothing is left.
    cores : int
    """

    images: int
    results: int
    passes: int
    seconds_per_pass: float
    cores: int

    @property
    def seconds(self) -> float:
        """All passes, on all cores."""
        return self.passes * self.seconds_per_pass / self.cores


def alike(folders: Mapping[Attack, OutputFolder]) -> list[dict[Attack, OutputFolder]]:
    """Groups of attacks that differ in nothing but the scaling of their results."""
    groups: dict[Attack, dict[Attack, OutputFolder]] = {}
    for attack, folder in folders.items():
        groups.setdefault(attack.unscaled(), {})[attack] = folder
    return list(groups.values())


def taken(place: Path) -> InputError:
    """What is raised where an output is there already."""
    return InputError(f"{place}: exists; choose another output or pass --overwrite")


class AttackRun:
    """What all attacks of one command share: the images, the classifier, the batches."""

    def __init__(
        self,
        paths: Sequence[Path],
        model: Path,
        input_options: InputOptions | None,
        labels: Path | None,
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
        if chosen is not None:
            self.inputs = self.inputs.only(chosen)
        self.labels, self.label_origin = known_labels(self.inputs, labels, classifier, chosen)
        self.attacker = Attacker(classifier, device, parameters.keep_size, parameters.seed).check()
        self._batch_size = parameters.batch_size or self.attacker.batch_size
        self.parameters = replace(parameters, batch_size=self._batch_size)
        known = self.labels, self.label_origin, labels
        self.origin = Origin(self.inputs, classifier, self.parameters, device, *known, through)
        self.targets: list[Target] = []
        self.batches: list[Batch] = []
        self.failed: list[Entry] = []
        self.left_out = 0

    def _attacker_of(self, attack: Attack) -> Attacker:
        """Who carries out an attack: on the bare model, or through the defense."""
        if self.through is None:
            return self.attacker
        return replace(self.attacker, factory=DefendedModel(attack, self.through)).check()

    def aim(self, progress: Progress) -> None:
        """Read and classify all images, and fix the batches in which they are attacked."""
        progress.start("classify", len(self.inputs.images))
        step = Aiming(self.attacker, self.labels)
        for targets, unusable in self._map(step, list(chunked(self.inputs.images, 16))):
            wanted = [t for t in targets if t.is_correct or not self.parameters.only_correct]
            self.targets += wanted
            self.left_out += len(targets) - len(wanted)
            self.failed += [failure(image, error) for image, error in unusable]
            progress.advance(len(targets) + len(unusable))
        refuse_all_failed(self.failed, len(self.targets) + self.left_out, None)
        if not self.targets:
            raise InputError(
                f"none of the {self.left_out} images is classified correctly, so that "
                "--only-correct leaves none; are the labels and the model's input as they should?"
            )
        self.batches = make_batches(self.targets, self._batch_size)

    def cost(self, folders: Mapping[Attack, OutputFolder]) -> AttackCost:
        """What the attacks into some folders will take, from a pass or two through the model."""
        from rsparse.attacks.cost import seconds_per_pass

        passes = images = 0
        for group in alike(folders):
            unscaled, folder = next(iter(group)).unscaled(), next(iter(group.values()))
            left = sum(target.image.name not in folder.journal for target in self.targets)
            passes += left * unscaled.passes
            images += left
        seconds = 0.0
        if passes:
            pictures = list(self.attacker.load(self.batches[0])[:2])
            seconds = seconds_per_pass(self.attacker.classifier, pictures, self.attacker.device)
        cores = self._workers.cores(len(self.batches), parallel_from=0)
        return AttackCost(len(self.targets), images, passes, seconds, cores)

    def _map(
        self, step: Callable[[Item], Result], items: Sequence[Item], *folders: OutputFolder
    ) -> Iterator[Result]:
        """The results of batches; images differ too much in cost for their number to tell it."""
        shared_paths = [*self._shared_paths, *(folder.journal.path for folder in folders)]
        return self._workers.map(
            step,
            items,
            len(items),
            parallel_from=0,
            parallel_after=PROCESSES_PAY_FROM,
            shared_paths=shared_paths,
        )

    @property
    def _digests(self) -> dict[str, str]:
        """SHA-256 of the attacked images' files, by name."""
        return {target.image.name: target.digest for target in self.targets}

    def take_over(self, attack: Attack, place: Path) -> AttackSummary:
        """The summary of an artifact that an interrupted run of this command has finished."""
        manifest = read_manifest(place)
        if manifest is None:
            raise taken(place)
        record, entries = record_of(manifest), manifest["images"]
        if not self.origin.matches(attack, record, self._digests):
            raise taken(place)
        scaling = record["parameters"].get(SCALING)
        return summarize(attack_text(attack), str(place), entries, len(entries), scaling)

    def attack(
        self, folders: Mapping[Attack, OutputFolder], output: Path, progress: Progress
    ) -> dict[Attack, AttackSummary]:
        """Run an attack, and write its results with each scaling that is asked for."""
        unscaled = next(iter(folders)).unscaled()
        kept = None
        if self.parameters.keep_float or any(attack.average_d for attack in folders):
            targets = [[target.image.name, target.digest, target.label] for target in self.targets]
            run = {**self.origin.job(unscaled).identity(), "targets": targets}
            kept = KeptResults(output, run)
        campaign = Campaign(self._attacker_of(unscaled), unscaled, kept)
        summaries = {}
        for attack, folder in folders.items():
            scaling = None
            if attack.average_d is not None:
                progress.start(_doing(unscaled), len(self.targets))
                for n_images in self._map(Keeping(campaign), self.batches, folder):
                    progress.advance(n_images)
                scaling = campaign.scaling_to(attack.average_d, self.batches)
            summaries[attack] = self.write(campaign, attack, folder, scaling, progress)
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
    ) -> AttackSummary:
        """Write what the folder does not hold yet, and finish it."""
        tau = 1.0 if scaling is None else scaling.tau
        forget_others(folder.journal, self.targets)
        pending = [b for b in self.batches if not is_written(b, folder, tau)]
        resumed = len(self.targets) - sum(len(batch.targets) for batch in pending)
        progress.start(_doing(attack), len(self.targets), resumed)
        floats = {"float_file": FLOAT_FILE} if self.parameters.keep_float else {}
        with self._workers.map_of_parts() as map_parts:
            step = _Writing(campaign, tau, folder.path, floats, map_parts)
            for entries in self._map(step, pending, folder):
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
        )
        folder.finish(self.origin.record(attack, self._digests, scaling), self.failed)
        return summary


@dataclass(frozen=True)
class _Writing:
    """Attacks a batch, and writes its images."""

    campaign: Campaign
    tau: float
    output: Path
    extra: Mapping[str, str]
    map_parts: ParallelMap

    def __call__(self, batch: Batch) -> list[Entry]:
        return list(chain.from_iterable(self.map_parts(self.write, self.campaign.parts(batch))))

    def write(self, part: Part) -> list[Entry]:
        """Measure and write some images; their entries."""
        return [
            {
                **save_png(self.output, item.target.image.name, item.pixels),
                "source_sha256": item.target.digest,
                **item.measured,
                **self.extra,
            }
            for item in self.campaign.measured(part, self.tau)
        ]


def _doing(attack: Attack) -> str:
    """``bim-eps=8, 10 passes an image``."""
    passes = attack.passes
    return f"{attack_text(attack)}, {passes} pass{'es' * (passes > 1)} an image"
