"""A job: what a stage makes, with which parameters, and from which inputs.

Every command describes its work as one ``Job`` before it starts. The job answers three questions:

- ``identity()``: which work is this? It is known before the work starts and is the first line of
  the run's journal. An interrupted run is resumed only by the same job.
- ``record(sources)``: what was made, with which parameters, and from which inputs? It is known
  after the work and is stored in the artifact.
- ``matches(record, sources)``: would this job make the existing artifact again? This is the only
  freshness rule: the two records are equal, or the artifact is stale.

**What a new release means.** A release alone changes nothing: ``generator``, which names it, is
left out of every comparison, also in the records of the inputs. What counts is the *method* of a
stage, a number in ``METHODS`` that is part of every identity and every record. Raise it when the
same parameters, seed and inputs give different bytes: pixels, atoms, predictions or weights.
Everything that the earlier method made is then stale, and so is everything made from it, because
a record contains the records of its inputs. A command makes stale work again where it owns the
folder and the work is cheap (the trials of an evaluation, which reports it). Elsewhere it refuses
in one line. Stale work is never kept silently.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rsparse.errors import InputError
from rsparse.store.journal import to_line
from rsparse.store.records import FORMAT_VERSIONS, Record, Source

METHODS = {
    "activations": 1,
    "attack": 3,
    "attention": 1,
    "certify": 3,
    "classify": 1,
    "detect": 3,
    "evaluate": 2,
    "judge": 4,
    "learn-dict": 2,
    "localize": 1,
    "measure": 1,
    "purify": 4,
    "select": 1,
    "support": 1,
    "train": 4,
}
"""The version of each stage's method; raise it when the stage's bytes change.

Several stages share code that can change their bytes. ``purify``, ``judge``, ``train`` and
``certify`` share the defenses, localization and sparse coding, and ``support`` the latter;
``attack`` and ``train`` share the attacks, ``certify`` and ``train`` the denoisers. All stages with
a classifier share its logits and the fitting of an image to its input. ``select``, ``measure`` (of
given adversarial images) and ``judge`` are steps of ``rsparse evaluate``.
"""

CODING = frozenset({
    "attack", "certify", "detect", "judge", "learn-dict", "measure", "purify", "support", "train",
})  # fmt: skip
"""The stages whose numbers may depend on the inner loops of coding and smoothing."""


def has_compiled_loops() -> bool:
    """Whether numba compiles the inner loops; NumPy's round otherwise."""
    return find_spec("numba") is not None


@dataclass(frozen=True)
class Job:
    """One piece of work of a stage.

    Attributes
    ----------
    stage : str
        A key of ``METHODS``.
    format : str
        The artifact's format: ``IMAGES``, ``PREDICTIONS``, ….
    parameters : mapping
        Every parameter, as JSON types.
    seed : int or None
        Seed of all random choices; None if there are none.
    known : mapping
        Digests of the inputs known before the work starts: the model, the dictionaries, the names
        of the images, the labels. They distinguish runs. The contents of the images are known only
        afterwards and are in the sources.
    """

    stage: str
    format: str
    parameters: Mapping[str, Any]
    seed: int | None = None
    known: Mapping[str, Any] = field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """Everything that distinguishes this job from others before the work starts."""
        return {
            "stage": self.stage,
            "method": METHODS[self.stage],
            "format": self.format,
            "format_version": FORMAT_VERSIONS[self.format],
            "parameters": {**self.parameters, **self._loops()},
            "seed": self.seed,
            "known": dict(self.known),
        }

    def record(
        self, sources: Iterable[Source], computed: Mapping[str, Any] | None = None
    ) -> Record:
        """The record of the finished artifact.

        Parameters
        ----------
        sources : iterable of Source
            The inputs of the artifact.
        computed : mapping, optional
            Further parameters that the work itself computes, such as a scaling.
        """
        values = {**self.parameters, **self._loops(), **(computed or {})}
        method = METHODS[self.stage]
        return Record(self.format, self.stage, values, self.seed, tuple(sources), method)

    def _loops(self) -> dict[str, str]:
        """The entry of loops that are not compiled; results of both may differ."""
        return {"loops": "numpy"} if self.stage in CODING and not has_compiled_loops() else {}

    def matches(
        self,
        record: Mapping[str, Any],
        sources: Iterable[Source],
        computed: Collection[str] = (),
    ) -> bool:
        """Whether an artifact is the one that this job would now make from ``sources``.

        Parameters
        ----------
        record : mapping
            The artifact's record, as read from disk.
        sources : iterable of Source
            The inputs as they are now.
        computed : collection of str
            Names of the parameters that the work itself computes; they are not compared.
        """
        recorded = record["parameters"]
        values = {name: recorded[name] for name in computed if name in recorded}
        expected = self.record(sources, values).as_json()
        return to_line(comparable(record)) == to_line(comparable(expected))

    def require_match(
        self,
        place: Path,
        record: Mapping[str, Any],
        sources: Sequence[Source],
        otherwise: str,
        computed: Collection[str] = (),
    ) -> None:
        """Check that this job made the artifact at ``place``; see ``matches``.

        Raises
        ------
        InputError
            If it did not. The message names the method that has changed; if none has, it gives
            ``otherwise`` as the reason.
        """
        if self.matches(record, sources, computed):
            return
        method = self.changed_method(record, sources)
        reason = otherwise if method is None else f"was made by {method}"
        is_numpy = "loops" in record["parameters"]
        if record["stage"] == self.stage and is_numpy != ("loops" in self._loops()):
            reason = f"was made {'without' if is_numpy else 'with'} numba"
        raise InputError(f"{place}: {reason}; choose another output or pass --overwrite")

    def changed_method(self, record: Mapping[str, Any], sources: Iterable[Source]) -> str | None:
        """The first outdated method in an artifact's ancestry.

        Returns
        -------
        str or None
            ``method 1 of attack, not 2``, or ``an older method of attack`` if the record has no
            method number yet; None if all methods are current.
        """
        return _difference(record, self.record(sources).as_json())


def comparable(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record without the releases that wrote it and its inputs."""
    inputs = [
        {**source, "record": None if source["record"] is None else comparable(source["record"])}
        for source in record["inputs"]
    ]
    kept = {key: value for key, value in record.items() if key != "generator"}
    return {**kept, "inputs": inputs}


def outdated(record: Mapping[str, Any]) -> str | None:
    """``Job.changed_method`` for an artifact whose inputs rsparse itself would make again."""
    own = _changed(record, METHODS.get(record["stage"]))
    nested = (outdated(source["record"]) for source in record["inputs"] if source["record"])
    return own or next(filter(None, nested), None)


def _difference(record: Mapping[str, Any], expected: Mapping[str, Any]) -> str | None:
    """The first method in an ancestry that differs from the expected one."""
    if record["stage"] != expected["stage"]:
        return None
    own = _changed(record, expected.get("method", 0))
    pairs = zip(record["inputs"], expected["inputs"], strict=False)
    records = ((source["record"], other["record"]) for source, other in pairs)
    nested = (_difference(*pair) for pair in records if all(pair))
    return own or next(filter(None, nested), None)


def _changed(record: Mapping[str, Any], now: int | None) -> str | None:
    """Describe a method that is not current; None if it is, or if the stage is not rsparse's."""
    stage, method = record["stage"], record.get("method", 0)
    if now is None or method == now:
        return None
    return f"method {method} of {stage}, not {now}" if method else f"an older method of {stage}"
