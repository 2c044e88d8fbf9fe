"""What every scenario is: a frozen parameter set that says who is attacked and who judges."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from rsparse.evaluation.model_choice import ModelChoice
from rsparse.models.spec import INPUT_OPTIONS, read_input_options
from rsparse.options.fields import Parameters, parameter


@dataclass(frozen=True)
class Scenario(Parameters):
    """What an attacker knows.

    Attributes
    ----------
    name : str
        How a spec calls it.
    knows : str
        The threat model in a sentence.
    through : bool
        Whether attacks are made through each defense, and not on the bare model.
    """

    name: ClassVar[str]
    knows: ClassVar[str]
    through: ClassVar[bool] = False

    @property
    def other(self) -> ModelChoice | None:
        """The model that it needs beside the evaluation's own.

        Raises
        ------
        InputError
            If what is said of its input cannot be used.
        """
        return None

    def attacked(self, model: ModelChoice) -> ModelChoice:
        """The model that the attacks are made on; ``model`` is the evaluation's."""
        return model

    def judged(self, model: ModelChoice) -> ModelChoice:
        """The model that is shown the images; ``model`` is the evaluation's."""
        return model

    def in_folder(self, folder: Path) -> Self:  # noqa: ARG002
        """The same with its paths below a folder."""
        return self

    def as_record(self) -> dict[str, Any]:
        """Name and values as plain JSON types."""
        return {"name": self.name, **super().as_record()}


def _input_option(name: str) -> Any:
    return parameter(None, f"As --{name} for the other model.")


@dataclass(frozen=True)
class TwoModelScenario(Scenario):
    """A scenario with another model beside the evaluation's own.

    The fields after ``model`` are ``INPUT_OPTIONS``, as texts.
    """

    model: str = parameter(help="The other model, an ONNX file.", what="an ONNX file")
    preset: str | None = _input_option("preset")
    input_size: str | None = _input_option("input-size")
    mean: str | None = _input_option("mean")
    std: str | None = _input_option("std")
    input_range: str | None = _input_option("input-range")
    channels: str | None = _input_option("channels")
    layout: str | None = _input_option("layout")
    class_offset: str | None = _input_option("class-offset")
    class_names: str | None = _input_option("class-names")

    @property
    def other(self) -> ModelChoice:
        """The other model."""
        values = {name: getattr(self, name.replace("-", "_")) for name in INPUT_OPTIONS}
        given = any(value is not None for value in values.values())
        return ModelChoice(Path(self.model), read_input_options(values) if given else None)

    def in_folder(self, folder: Path) -> Self:
        """The same with its paths below a folder."""
        names = None if self.class_names is None else str(folder / self.class_names)
        return replace(self, model=str(folder / self.model), class_names=names)

    def as_record(self) -> dict[str, Any]:
        """Name and values as plain JSON types; of the files their names."""
        of_input = {field.name for field in fields(TwoModelScenario)}
        values = {key: value for key, value in super().as_record().items() if key not in of_input}
        return {**values, "model": Path(self.model).name}
