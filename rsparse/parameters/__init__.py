"""What can be set: one frozen dataclass per stage, attack and defense.

Such a dataclass is at once the defaults (written once), the validation, the command-line
options, the test id (``repr``) and the provenance (``as_record``). This module imports nothing
heavy, so that ``--help`` stays quick.
"""

from __future__ import annotations

from rsparse.parameters.fields import (
    Parameters,
    describe,
    field_type,
    parameter,
)
from rsparse.parameters.judging import (
    ActivationParameters,
    AttackRunParameters,
    AttentionParameters,
    ClassifyParameters,
    EvaluateParameters,
    ReportParameters,
)
from rsparse.parameters.method import (
    LearnParameters,
    LocalizeParameters,
    PurifyParameters,
    PurifyRunParameters,
)
from rsparse.parameters.models import FetchParameters
from rsparse.parameters.training import TrainParameters

__all__ = [
    "ActivationParameters",
    "AttackRunParameters",
    "AttentionParameters",
    "ClassifyParameters",
    "EvaluateParameters",
    "FetchParameters",
    "LearnParameters",
    "LocalizeParameters",
    "Parameters",
    "PurifyParameters",
    "PurifyRunParameters",
    "ReportParameters",
    "TrainParameters",
    "describe",
    "field_type",
    "parameter",
]
