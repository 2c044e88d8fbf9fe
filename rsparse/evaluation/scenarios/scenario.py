"""The base of all scenarios: a frozen parameter set with an attacked and a judged model."""

from __future__ import annotations

from dataclasses import dataclass, fields, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from rsparse.errors import InputError
from rsparse.evaluation.model_choice import ModelChoice
from rsparse.models.spec import INPUT_OPTIONS, read_input_options
from rsparse.options.fields import Parameters, parameter

if TYPE_CHECKING:
    from rsparse.attacks import Attack


@dataclass(frozen=True)
class Scenario(Parameters):
    """An assumption about what the attacker knows.

    Attributes
    ----------
    name : str
        Its name in specs.
    knows : str
        The threat model in one sentence.
    through : bool
        Whether attacks are made through each defense instead of on the bare model.
    """

    name: ClassVar[str]
    knows: ClassVar[str]
    through: ClassVar[bool] = False

    @property
    def other(self) -> ModelChoice | None:
        """The second model of the scenario; None if it needs only the evaluation's own model.

        Raises
        ------
        InputError
            If an input option of the second model is invalid.
        """
        return None

    def attacked(self, model: ModelChoice) -> ModelChoice:
        """The model that the attacks are made on; ``model`` is the evaluation's own."""
        return model

    def judged(self, model: ModelChoice) -> ModelChoice:
        """The model that classifies the images; ``model`` is the evaluation's own."""
        return model

    def attacks_of(self, given: tuple[Attack, ...]) -> tuple[Attack, ...]:
        """The attacks that are made in this scenario, for those that a plan gives."""
        return given

    def in_folder(self, folder: Path) -> Self:  # noqa: ARG002
        """A copy whose paths are relative to a folder."""
        return self

    def as_record(self) -> dict[str, Any]:
        """The name and the values as plain JSON types."""
        return {"name": self.name, **super().as_record()}


@dataclass(frozen=True)
class _SecondModel(Scenario):
    model: str = parameter(help="The second model, an ONNX file.", what="an ONNX file")


def _as_option(name: str) -> Any:
    return parameter(None, f"As --{name}, for the second model.")


_WithItsInput: Any = make_dataclass(
    "_WithItsInput",
    [(name.replace("-", "_"), "str | None", _as_option(name)) for name in INPUT_OPTIONS],
    bases=(_SecondModel,),
    frozen=True,
)


@dataclass(frozen=True)
class TwoModelScenario(_WithItsInput):
    """A scenario with a second model in addition to the evaluation's own.

    The fields after ``model`` are ``INPUT_OPTIONS`` as text.
    """

    @property
    def other(self) -> ModelChoice:
        """The second model."""
        values = {name: getattr(self, name.replace("-", "_")) for name in INPUT_OPTIONS}
        given = any(value is not None for value in values.values())
        try:
            return ModelChoice(Path(self.model), read_input_options(values) if given else None)
        except InputError as error:
            raise InputError(f"scenario {self.name}: {error}") from None

    def in_folder(self, folder: Path) -> Self:
        """A copy whose paths are relative to a folder."""
        names = None if self.class_names is None else str(folder / self.class_names)
        return replace(self, model=str(folder / self.model), class_names=names)  # type: ignore[call-arg]

    def as_record(self) -> dict[str, Any]:
        """The name and the values as plain JSON types; files are given by their names."""
        own = {field.name for field in fields(TwoModelScenario)}
        values = {key: value for key, value in super().as_record().items() if key not in own}
        return {**values, "model": Path(self.model).name}
