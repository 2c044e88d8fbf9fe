"""Folders of attacked images in an evaluation, used only if they match its plan."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from rsparse.commands.attack.origin import CHOSEN, Origin
from rsparse.commands.attack.through import AttackedDefense
from rsparse.commands.evaluate.columns import PlannedColumn
from rsparse.commands.evaluate.layout import Matrix
from rsparse.commands.evaluate.select import Selection
from rsparse.errors import InputError
from rsparse.options.attack import AttackRunParameters
from rsparse.store.entries import require_keys
from rsparse.store.folders import read_manifest, record_of
from rsparse.store.inputs import ImageInputs, load_inputs
from rsparse.store.labels import Labels


class AttackedFolders:
    """The adversarial images of an evaluation."""

    def __init__(self, matrix: Matrix, selection: Selection) -> None:
        self._matrix, self._selection = matrix, selection

    def manifest(self, column: PlannedColumn) -> dict[str, Any]:
        """The manifest of a column's folder.

        Raises
        ------
        InputError
            If the folder does not match the plan.
        """
        assert column.threat is not None
        assert column.attack is not None
        place = self._matrix.folder_of(column)
        manifest = read_manifest(place)
        if manifest is None:
            raise InputError(f"{place}: contains other files; choose another output")
        require_keys(manifest, place)
        attacked = {entry["name"] for entry in manifest["images"]}
        selected = self._selection.entries
        through = self._matrix.attacked_defense(column)
        behind = "" if through is None else "through another defense or dictionary, "
        self._origin(column.threat.attacked.name, through, manifest["parameters"]).require_match(
            place,
            column.attack,
            record_of(manifest),
            {e["name"]: e["source_sha256"] for e in selected if e["name"] in attacked},
            f"was made from other images, with another model, {behind}or with another seed or "
            "batch size",
        )
        return manifest

    def _origin(
        self, model: str, through: AttackedDefense | None, made_with: Mapping[str, Any]
    ) -> Origin:
        """The origin of attacks on a model; values that the plan leaves open match the record."""
        values = self._matrix.plan.parameters
        batch_size = values.batch_size or made_with.get("batch_size")
        return Origin(
            self._inputs,
            self._matrix.models[model],
            AttackRunParameters(
                only_correct=False, batch_size=batch_size, seed=values.seed, device=values.device
            ),
            str(made_with.get("device")),
            Labels(self._selection.labels, CHOSEN),
            through,
        )

    @cached_property
    def _inputs(self) -> ImageInputs:
        """The selected images in the plan's folders."""
        return load_inputs(self._matrix.plan.images).only(self._selection.labels)
