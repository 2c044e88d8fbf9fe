"""A job: what a stage is to make, how, and from what.

Every command describes its work as one ``Job`` before it begins. The job answers the three
questions that the work raises:

- ``identity()``: which work is this? It is known beforehand and is the first line of the run's
  journal: an interrupted run goes on only as the same job.
- ``record(sources)``: what was made, how, and from what? It is known afterwards and goes into the
  artifact.
- ``made(record, sources)``: is the artifact that lies there the one that this job would make now?
  This is the only rule of freshness: two records are equal, or the artifact is stale.

**What a new release means.** A release by itself changes nothing: ``generator``, which names it,
is left out of every comparison, in the records of the inputs too. What counts is the *method* of a
stage, a number in ``METHODS`` that is in every identity and every record. Raise it when the same
parameters, seed and inputs come to give other bytes: other pixels, atoms, predictions or weights.
All that the earlier method made is stale then, and so is all that was made from it, because the
records of the inputs are part of a record. Stale work is made again where its folder is the
command's own and it is cheap (the trials of an evaluation, which says so), and refused in one line
elsewhere; it is never kept in silence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsparse.errors import InputError
from rsparse.store.journal import to_line
from rsparse.store.records import FORMAT_VERSIONS, Record, Source

METHODS = {
    "activations": 1,
    "attack": 1,
    "attention": 1,
    "classify": 1,
    "evaluate": 1,
    "judge": 1,
    "learn-dict": 1,
    "localize": 1,
    "purify": 1,
    "select": 1,
    "train": 1,
}
"""The version of each stage's method; raise it when the stage's bytes change.

A stage's bytes may be changed by code that several stages share. A defense, localization and
sparse coding belong to ``purify``, ``judge`` and ``train``; an attack to ``attack`` and ``train``;
how an image is fitted to a classifier's input, and its logits, to all stages with a classifier.
``select`` and ``judge`` are the first and the last step of ``rsparse evaluate``.
"""


@dataclass(frozen=True)
class Job:
    """One piece of work of a stage.

    Attributes
    ----------
    stage : str
        A key of ``METHODS``.
    format : str
        What the artifact is: ``IMAGES``, ``PREDICTIONS``, ….
    parameters : mapping
        Every parameter, as JSON types.
    seed : int or None
        Of all random choices; None where there are none.
    known : mapping
        Digests of what is known beforehand: of the model, the dictionaries, the images' names, the
        labels. They tell runs apart; the contents of the images are known afterwards, and are
        in the sources.
    """

    stage: str
    format: str
    parameters: Mapping[str, Any]
    seed: int | None = None
    known: Mapping[str, Any] = field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """What tells this job from every other before it is done."""
        return {
            "stage": self.stage,
            "method": METHODS[self.stage],
            "format": self.format,
            "format_version": FORMAT_VERSIONS[self.format],
            "parameters": dict(self.parameters),
            "seed": self.seed,
            "known": dict(self.known),
        }

    def record(self, sources: Iterable[Source], found: Mapping[str, Any] | None = None) -> Record:
        """The record of the finished artifact.

        Parameters
        ----------
        sources : iterable of Source
            What it was made from.
        found : mapping, optional
            Further parameters that only the work could tell, such as a scaling.
        """
        values = {**self.parameters, **(found or {})}
        method = METHODS[self.stage]
        return Record(self.format, self.stage, values, self.seed, tuple(sources), method)

    def made(
        self,
        record: Mapping[str, Any],
        sources: Iterable[Source],
        found: Collection[str] = (),
    ) -> bool:
        """Whether an artifact is what this job would make from ``sources`` now.

        Parameters
        ----------
        record : mapping
            The artifact's, as it was read.
        sources : iterable of Source
            The inputs as they are now.
        found : collection of str
            Names of the parameters that only the work could tell; they are not compared.
        """
        told = {name: record["parameters"][name] for name in found if name in record["parameters"]}
        expected = self.record(sources, told).as_json()
        return to_line(comparable(record)) == to_line(comparable(expected))

    def refuse_other(
        self,
        place: Path,
        record: Mapping[str, Any],
        sources: Sequence[Source],
        otherwise: str,
        found: Collection[str] = (),
    ) -> None:
        """See that the artifact at ``place`` was made by this job; see ``made``.

        Raises
        ------
        InputError
            If it was not: it names the method that has changed, or says ``otherwise``.
        """
        if self.made(record, sources, found):
            return
        method = self.other_method(record, sources)
        reason = otherwise if method is None else f"was made by {method}"
        raise InputError(f"{place}: {reason}; choose another output or pass --overwrite")

    def other_method(self, record: Mapping[str, Any], sources: Iterable[Source]) -> str | None:
        """Which method made an artifact, or something it was made from, and not the one of now.

        Returns
        -------
        str or None
            ``method 1 of attack, not 2``, or ``an older method of attack`` where its number was not
            recorded yet; None where all methods are the same.
        """
        return _difference(record, self.record(sources).as_json())


def comparable(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record without the release that wrote it, and without those that wrote its inputs."""
    inputs = [
        {**source, "record": None if source["record"] is None else comparable(source["record"])}
        for source in record["inputs"]
    ]
    kept = {key: value for key, value in record.items() if key != "generator"}
    return {**kept, "inputs": inputs}


def outdated(record: Mapping[str, Any]) -> str | None:
    """``Job.other_method`` for an artifact whose inputs rsparse itself would make again."""
    own = _changed(record, METHODS.get(record["stage"]))
    nested = (outdated(source["record"]) for source in record["inputs"] if source["record"])
    return own or next(filter(None, nested), None)


def _difference(record: Mapping[str, Any], expected: Mapping[str, Any]) -> str | None:
    """The first method in an ancestry that is not the expected one."""
    if record["stage"] != expected["stage"]:
        return None
    own = _changed(record, expected.get("method", 0))
    pairs = zip(record["inputs"], expected["inputs"], strict=False)
    records = ((source["record"], other["record"]) for source, other in pairs)
    nested = (_difference(*pair) for pair in records if all(pair))
    return own or next(filter(None, nested), None)


def _changed(record: Mapping[str, Any], now: int | None) -> str | None:
    """What is said of a method that is not the one of now; None for a stage of others."""
    stage, method = record["stage"], record.get("method", 0)
    if now is None or method == now:
        return None
    return f"method {method} of {stage}, not {now}" if method else f"an older method of {stage}"
