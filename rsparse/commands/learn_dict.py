"""``rsparse learn-dict``: benign images in, ``dict.h5`` out."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from rsparse.core.dictionary import Dictionary
from rsparse.core.learning import DictionaryLearner, patch_rng, standardized, take_patches
from rsparse.errors import InputError
from rsparse.options.learn_dict import LearnParameters
from rsparse.pictures.atoms import draw_dictionary
from rsparse.store.dictionaries import save_dictionary
from rsparse.store.files import refuse_existing, require_suffix
from rsparse.store.images import ImageFile, encode_png
from rsparse.store.inputs import ImageInputs, load_inputs
from rsparse.store.job import Job
from rsparse.store.journal import Entry, Journal, journal_beside
from rsparse.store.records import DICTIONARY
from rsparse.store.together import appear_together
from rsparse.work.one_core import one_thread
from rsparse.work.progress import SILENT, Progress
from rsparse.work.runs import Outcome, load_image, refuse_all_failed, run_images
from rsparse.work.steps import ImageStep, OneByOne
from rsparse.work.workers import LocalWorkers, Workers


@dataclass(frozen=True)
class SampleStep:
    """Smooths one image and samples its patches; the images of a pass are named ``pass/name``."""

    parameters: LearnParameters

    def __call__(self, image: ImageFile) -> Entry:
        pixels, digest = load_image(image)
        turn, name = image.name.split("/", 1)
        rng = patch_rng(self.parameters.seed, int(turn), crc32(name.encode()))
        patches = take_patches(pixels, self.parameters, rng)
        text = b64encode(patches.tobytes()).decode()
        return {"name": image.name, "source_sha256": digest, "patches": text}


@dataclass
class LearnOutcome(Outcome):
    """Also holds the dictionary's size and its error on held-out patches."""

    n_atoms: int = 0
    n_features: int = 0
    held_out_error: dict[int, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            **super().as_json(),
            "n_atoms": self.n_atoms,
            "n_features": self.n_features,
            "held_out_error": {str(key): value for key, value in self.held_out_error.items()},
        }


def learn_dict(
    paths: Sequence[Path],
    output: Path,
    parameters: LearnParameters,
    *,
    preview: Path | None = None,
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> LearnOutcome:
    """Learn a dictionary from the images in ``paths`` and write it to ``output``.

    Raises
    ------
    InputError
        If an input cannot be used, an output exists, or there are too few patches.
    """
    require_suffix(output, ".h5", ".hdf5")
    if preview is not None:
        require_suffix(preview, ".png")
    previews = [] if preview is None else [preview]
    outputs = [output, *previews]
    for path in outputs:
        refuse_existing(path, overwrite)
    inputs = load_inputs(paths)
    _refuse_overlap(outputs, inputs.images)
    known = {"images": inputs.names_digest()}
    job = Job("learn-dict", DICTIONARY, parameters.as_record(), parameters.seed, known)
    turns = [
        replace(inputs, images=images, failed=()) for images in _by_pass(inputs.images, parameters)
    ]
    with journal_beside(output, job.identity(), overwrite, previews) as journal:
        step = OneByOne(SampleStep(parameters))
        done, resumed, failed = _sample(turns, journal, step, workers, progress)
        failures = [*inputs.failed, *failed]
        refuse_all_failed(failures, done + resumed, None)
        try:
            threads = workers.cores(len(inputs.images))
            dictionary, errors = _learn(journal, turns, parameters, threads, progress)
        except InputError:  # too few patches: running again would not help
            journal.drop_all()
            raise
        digests = {_name(entry): entry["source_sha256"] for entry in journal.entries()}
        record = job.record(inputs.sources(digests))
        images = dict(sorted(digests.items()))
        with appear_together(output, journal) as members:
            save_dictionary(output, record, dictionary, errors, images, members.create)
            if preview is not None:
                sheet = draw_dictionary(dictionary.atoms, dictionary.patch_size)
                members.write(preview, encode_png(sheet))
    # Each image counts once, however many passes there are.
    resumed = min(resumed, len(digests))
    k, m = dictionary.atoms.shape
    done = len(digests) - resumed
    return LearnOutcome(
        output, done, resumed, failures, k, m, errors, passed_over=inputs.passed_over
    )


def _sample(
    turns: Sequence[ImageInputs],
    journal: Journal,
    step: ImageStep[Entry, Entry],
    workers: Workers,
    progress: Progress,
) -> tuple[int, int, list[Entry]]:
    """Sample the images of all passes; how many were done and resumed, and which images failed."""
    failed: dict[str, Entry] = {}
    done = resumed = 0
    for turn in turns:
        counts = run_images(turn, journal, step, task="smooth", workers=workers, progress=progress)
        done, resumed = done + counts[0], resumed + counts[1]
        failed |= {_name(entry): {**entry, "name": _name(entry)} for entry in counts[2]}
    return done, resumed, [failed[name] for name in sorted(failed)]


def _name(entry: Entry) -> str:
    """The image's name without the pass."""
    return str(entry["name"]).split("/", 1)[1]


def _by_pass(images: Sequence[ImageFile], parameters: LearnParameters) -> Iterator[list[ImageFile]]:
    """The images of each pass, in a new random order."""
    for turn in range(parameters.passes):
        order = np.random.default_rng([parameters.seed, turn]).permutation(len(images))
        yield [replace(images[number], name=f"{turn}/{images[number].name}") for number in order]


def _learn(
    journal: Journal,
    turns: Sequence[ImageInputs],
    parameters: LearnParameters,
    threads: int,
    progress: Progress,
) -> tuple[Dictionary, dict[int, float]]:
    """Learn from the patches in the journal, which together are D of eq. (15), image by image."""
    learner = DictionaryLearner(parameters, threads)
    progress.start("learn", len(journal))
    with one_thread():
        for number, turn in enumerate(turns):
            for image in turn.images:
                if image.name in journal:
                    content = b64decode(journal[image.name]["patches"])
                    patches = np.frombuffer(content, dtype=np.uint8)
                    patches = patches.reshape(parameters.patches_per_image, -1)
                    learner.partial_fit(standardized(patches, parameters), hold_out=number == 0)
                    progress.advance()
        return learner.finish()


def _refuse_overlap(outputs: Sequence[Path], images: Sequence[ImageFile]) -> None:
    """Refuse outputs that would overwrite an image."""
    read = {image.path.resolve() for image in images}
    for path in outputs:
        if path.resolve() in read:
            raise InputError(f"{path}: is also an input; choose another output")
