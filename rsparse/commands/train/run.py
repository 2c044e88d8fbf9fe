"""One training: its inputs, its record, and its outcome."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rsparse.commands.train.checks import refuse_contradictions, require_training
from rsparse.commands.train.reading import ReadStep
from rsparse.errors import InputError
from rsparse.models.input_sources import METADATA_KEY
from rsparse.models.onnx.classifier import open_classifier
from rsparse.models.onnx.file import load_onnx
from rsparse.models.onnx.precision import in_float32
from rsparse.models.onnx.provenance import RECORD_KEY
from rsparse.models.spec import InputOptions
from rsparse.options.labels import LabelOptions
from rsparse.options.train import TrainParameters
from rsparse.store.files import sha256_of
from rsparse.store.folders import JOURNAL
from rsparse.store.images import ImageFile
from rsparse.store.inputs import ImageInputs, load_inputs
from rsparse.store.job import Job
from rsparse.store.journal import Entry, Journal, to_line
from rsparse.store.labels import Labels, find_labels
from rsparse.store.pending import hidden_beside, journal_of, settle
from rsparse.store.records import MODEL, Record
from rsparse.store.temporaries import name_beside, remove
from rsparse.training.adversaries import AdversarialDefenses, load_adversaries
from rsparse.training.noise import load_noise
from rsparse.training.samples import CLEAN, Sample, split
from rsparse.training.schedule import best_epoch
from rsparse.work.device import choose_device
from rsparse.work.progress import Progress, tell
from rsparse.work.runs import Outcome, refuse_all_failed, run_images, source_digests
from rsparse.work.steps import OneByOne
from rsparse.work.workers import Workers

TRAINING_KEY = "rsparse.training"


@dataclass
class TrainOutcome(Outcome):
    """Also holds the figures of each epoch, and the numbers of training and validation images.

    ``done`` and ``resumed`` count images. ``written`` holds the validation figures of the written
    weights: those of the best epoch, or of its average with the original weights.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    written: dict[str, Any] = field(default_factory=dict)
    best_epoch: int = 0
    resumed_epochs: int = 0
    label_origin: str = ""
    shown: int = 0
    held_out: int = 0
    layers: int = 0

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            **super().as_json(),
            "labels": self.label_origin,
            "training_images": self.shown,
            "validation_images": self.held_out,
            "layers": self.layers,
            "best_epoch": self.best_epoch,
            "epochs": self.history,
            "written": self.written,
        }


def checkpoint_beside(output: Path) -> Path:
    """The file with the state of an unfinished training."""
    return hidden_beside(output, "rsparse-checkpoint.safetensors")


def purified_beside(output: Path) -> Path:
    """The folder with the purified images of an unfinished training."""
    return hidden_beside(output, "rsparse-purified")


def remove_leftovers(output: Path) -> None:
    """Remove the state that a training left that was killed after its classifier was in place."""
    settle(journal_of(output))
    if not journal_of(output).exists():
        checkpoint_beside(output).unlink(missing_ok=True)


def remove_purified(output: Path) -> None:
    """Remove the purified images that a training left beside its finished classifier."""
    purified = purified_beside(output)
    is_needed = journal_of(output).exists() or any(purified.rglob(JOURNAL))
    if output.exists() and not is_needed:
        discard_purified(output)


def discard_purified(output: Path) -> None:
    """Remove the purified images of a training; what a kill leaves of them is a temporary."""
    gone = name_beside(output)
    try:
        os.replace(purified_beside(output), gone)
    except OSError:
        return  # there are none, or the next run removes them
    remove(gone)


class TrainingRun:
    """The inputs of one training, and its steps."""

    def __init__(
        self,
        paths: Sequence[Path],
        model: Path,
        parameters: TrainParameters,
        input_options: InputOptions | None,
        purified: Mapping[str, Path],
        adversarial_defenses: AdversarialDefenses | None,
        labels: LabelOptions,
        workers: Workers,
    ) -> None:
        require_training()
        refuse_contradictions(parameters, labels)
        self.parameters, self.workers = parameters, workers
        self.device = choose_device(parameters.device, for_gradients=True)
        chosen = adversarial_defenses or AdversarialDefenses((), {})
        self.adversaries, used = load_adversaries(parameters, chosen, self.device)
        self.noise, used_too = load_noise(parameters, chosen.dictionaries)
        self.dictionaries = used | used_too
        auto = "bf16" if self.device.torch.startswith("cuda") else "float32"
        self.precision = auto if parameters.precision == "auto" else parameters.precision
        self.inputs = load_inputs(paths)
        self.purified = {name: load_inputs([path]) for name, path in purified.items()}
        self.file = in_float32(load_onnx(model))
        self.classifier = open_classifier(self.file, input_options).check()
        if self.classifier.adapted.is_multi_label:
            raise InputError(
                f"{model}: cannot be retrained: each of its outputs is a sigmoid of its own, and "
                "training needs one class for each image"
            )
        self.adversaries.check(self.classifier.spec.size)
        self.noise.check(self.classifier.spec.size)
        self.labels = self._find_labels(labels)

    def _find_labels(self, options: LabelOptions) -> Labels:
        """The labels; none if the targets are the model's own outputs."""
        if self.parameters.distill:
            return Labels({}, "the original model's logits")
        classes = self.classifier
        labels = find_labels(self.inputs, options, classes.class_names, classes.n_classes)
        if not labels.by_name:
            raise InputError(
                f"the images have no labels ({labels.reason}); give them with --labels "
                "labels.csv, or train on the model's own outputs with --distill"
            )
        return labels

    @cached_property
    def job(self) -> Job:
        """The job of the training."""
        values = self.parameters.as_record()
        seed = values.pop("seed")
        known = self.adversaries
        groups = {
            "adversarial_defenses": [v for v in known.defenses if v not in known.through],
            "through": [v for v in known.defenses if v in known.through],
        }
        if self.parameters.is_noisy:
            codecs = self.noise.denoiser.codecs()
            values |= {
                "noise": list(self.parameters.noise_sigmas),
                "denoiser": self.noise.denoiser.as_record(),
                **({"codecs": codecs} if codecs else {}),
            }
        values |= {
            **{
                name: [known.defenses[version].as_record() for version in versions]
                for name, versions in groups.items()
                if versions
            },
            "device": self.device.name,
            "precision": self.precision,
            "labels": self.labels.origin,
            "input": self.classifier.input_record(),
        }
        digests = {
            "model": self.classifier.sha256,
            "images": self.inputs.names_digest(),
            "purified": {name: i.names_digest() for name, i in self.purified.items()},
            "dictionaries": {name: source.sha256 for name, source in self.dictionaries.items()},
            "labels": sha256_of(to_line(self.labels.by_name)),
        }
        return Job("train", MODEL, values, seed, digests)

    def train(
        self, output: Path, journal: Journal, progress: Progress
    ) -> tuple[TrainOutcome, bytes]:
        """Read all images once and train; also return the content of the output file."""
        files = {name: _by_name(inputs) for name, inputs in self.purified.items()}
        step = ReadStep(files)
        tell(progress, self.labels.sentences())
        folders = [path for inputs in self.purified.values() for path in inputs.paths]
        done, resumed, failed = run_images(
            self.inputs,
            journal,
            OneByOne(step),
            task="read",
            workers=self.workers,
            progress=progress,
            is_current=step.is_current,
            shared_paths=folders,
        )
        refuse_all_failed(failed, done + resumed, None)
        outcome = TrainOutcome(
            output,
            done,
            resumed,
            failed,
            label_origin=self.labels.origin,
            passed_over=self.inputs.passed_over,
            notes=self.labels.sentences(),
        )
        try:
            self._learn(outcome, list(journal.entries()), files, progress)
        except InputError:
            if not checkpoint_beside(output).exists():  # no long computation is lost
                journal.drop_all()
            raise
        metadata = {
            METADATA_KEY: self.classifier.spec.to_json(),
            RECORD_KEY: json.dumps(self._record(journal).as_json(), ensure_ascii=False),
            TRAINING_KEY: json.dumps(outcome.history),
        }
        return outcome, self.file.with_metadata(metadata)

    def _learn(
        self,
        outcome: TrainOutcome,
        entries: Sequence[Entry],
        files: Mapping[str, Mapping[str, ImageFile]],
        progress: Progress,
    ) -> None:
        """Train; ``self.file`` then holds the retrained model."""
        from rsparse.training.retrained import retrain

        known = _by_name(self.inputs)
        samples = [
            Sample(
                entry["name"],
                {CLEAN: known[entry["name"]], **{v: f[entry["name"]] for v, f in files.items()}},
                {CLEAN: entry["source_sha256"], **entry["versions"]},
                self.labels.by_name.get(entry["name"], -1),
            )
            for entry in entries
        ]
        parts = split(samples, self.parameters)
        identity = [self.job.identity(), *entries]
        result = retrain(
            self.classifier,
            self.file,
            parts,
            list(files),
            self.adversaries,
            self.noise,
            self.parameters,
            device=self.device.torch,
            precision=self.precision,
            threads=self.workers.cores(len(samples)),
            checkpoint=checkpoint_beside(outcome.output),
            run=sha256_of(b"".join(map(to_line, identity))),
            progress=progress,
        )
        self.file = result.file
        outcome.history, outcome.resumed_epochs = result.history, result.resumed
        outcome.written = result.written
        outcome.best_epoch = best_epoch([e["validation"]["loss"] for e in result.history])
        outcome.shown, outcome.held_out = map(len, parts)
        outcome.layers = result.layers

    def _record(self, journal: Journal) -> Record:
        sources = [*self.inputs.sources(source_digests(journal)), self.classifier.source()]
        for version, inputs in self.purified.items():
            digests = {entry["name"]: entry["versions"][version] for entry in journal.entries()}
            sources += inputs.sources(digests)
        sources += self.dictionaries.values()
        return self.job.record([*sources, *self.labels.sources()])


def _by_name(inputs: ImageInputs) -> dict[str, ImageFile]:
    return {image.name: image for image in inputs.images}
