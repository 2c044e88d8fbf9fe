"""The columns of an evaluation that is planned or running."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rsparse.attacks import Attack, attack_text
from rsparse.defenses import Defense, NoDefense, defense_text
from rsparse.evaluation.model_choice import ModelChoice
from rsparse.evaluation.places import attacks_folder, given_folder
from rsparse.evaluation.plan import Threat
from rsparse.evaluation.results import CLEAN


@dataclass(frozen=True)
class PlannedColumn:
    """One column of the matrix: a judge with attacked images or the clean images.

    Attributes
    ----------
    judged : ModelChoice
    threat : Threat or None
        None for the clean images.
    attack : Attack or None
        None for the clean images.
    through : Defense or None
        The defense that the attack includes in the attacked model; the column is then tried only
        with this defense. If None, the attack is on the bare model, and the column is tried with
        every defense.
    given : str
        The name of adversarial images that another program made; "" for others.
    is_undefended : bool
        Whether the column is only tried without a defense.
    """

    judged: ModelChoice
    threat: Threat | None = None
    attack: Attack | None = None
    through: Defense | None = None
    given: str = ""
    is_undefended: bool = False

    @classmethod
    def by(cls, threat: Threat, attack: Attack, through: Defense | None = None) -> PlannedColumn:
        """The column of an attack under a threat."""
        return cls(threat.judged, threat, attack, through)

    @property
    def through_text(self) -> str:
        """Short name of the defense that is attacked through; "" for the bare model."""
        if self.through is None or self.through == NoDefense():
            return ""
        return defense_text(self.through)

    @property
    def place(self) -> Path:
        """The folder of its images."""
        if self.given:
            return given_folder(self.given)
        if self.threat is None or self.attack is None:
            return Path(CLEAN)
        model = self.threat.attacked.name
        return attacks_folder(model, self.through_text) / attack_text(self.attack)
