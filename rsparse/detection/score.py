"""Define the base of all scores: a frozen parameter set that measures one sign of an attack."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from rsparse.defenses import Defense
from rsparse.options.fields import Parameters
from rsparse.options.specs import spec_string, spec_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rsparse.core.regionsparse import Pixels


class Answer(NamedTuple):
    """A classifier's answer on one image.

    Attributes
    ----------
    logits, probabilities : float32 arrays of shape (n_classes,)
    """

    logits: NDArray[np.float32]
    probabilities: NDArray[np.float32]


Answers = Mapping[Defense, Answer]
"""A classifier's answers on an image behind each of some defenses."""


@dataclass(frozen=True)
class Score(Parameters):
    """Base of all scores; larger is more suspicious.

    Attributes
    ----------
    name : str
        Its name in a spec.
    is_level : bool
        Whether it is in grey levels, which differ between cameras and file formats.
    """

    name: ClassVar[str]
    is_level: ClassVar[bool] = False

    @abstractmethod
    def measure(self, image: Pixels, answers: Answers) -> float:
        """Measure an image.

        Parameters
        ----------
        image : uint8 array of shape (h, w, 3), RGB
        answers : Answers
            Those behind the defenses in ``views``.

        Returns
        -------
        float
            Finite.
        """

    @property
    def views(self) -> tuple[Defense, ...]:
        """The defenses behind which a classifier has to answer; none if it needs no classifier."""
        return ()

    @property
    def needs_model(self) -> bool:
        """Whether it needs a classifier."""
        return bool(self.views)

    @property
    def text(self) -> str:
        """Its short name, the name of its column: ``squeezers``."""
        return spec_text(self.name, self)

    @property
    def spec(self) -> str:
        """Its spec string."""
        return spec_string(self.name, self)

    def as_record(self) -> dict[str, Any]:
        """Return its name and values as plain JSON types."""
        return {"name": self.name, **super().as_record()}
