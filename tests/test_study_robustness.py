"""The study of attacks that know the defense: its blocks, its tables, and one real block."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from rsparse.core.metrics import share_of
from rsparse.defenses import parse_defense
from studies import robustness as study
from studies.attacked_blocks import BLOCK, Block, Blocks, size_of
from tests.conftest import REPOSITORY

DICT = REPOSITORY / "fixtures" / "dict.h5"
SHARED = Path(os.environ.get("RSPARSE_SHARED", REPOSITORY.parent / "shared"))


class Given(Blocks):
    """Made-up results: every fourth photograph holds at eps 1, and all hold unless known."""

    def _make(self, defense: str, attack: str, start: int) -> Block:
        knows, numbers = attack.startswith("adaptive"), range(start, start + size_of(defense))
        right = [not knows or (n % 4 == 3 and "eps=1" in attack) for n in numbers]
        steps = [(1, 2, 3, 40)[n % 4] for n in numbers]
        made = Block(defense, attack, start, [True] * len(right), right, len(right) / 2, steps)
        is_random = parse_defense(defense)[0].is_random
        fooled = [(0, 4, 5, 10)[n % 4] for n in numbers]
        return replace(made, asked=10, fooled=fooled) if knows and is_random else made


@pytest.fixture
def blocks(tmp_path, monkeypatch) -> Given:
    monkeypatch.setattr(study, "PHOTOGRAPHS", {study.OURS: 8, "tvm": 4})
    monkeypatch.setattr(study, "WHOLE_PHOTOGRAPHS", 4)
    photographs = [(f"{i}", np.zeros((4, 4, 3), np.uint8), 0) for i in range(8)]
    return Given(photographs, tmp_path, DICT, tmp_path / "work")


def test_the_tables_count_the_photographs_of_all_blocks(blocks):
    study.make(blocks, 8, 4)
    rows = {(row["spec"], row["eps"]): row for row in study.left(blocks)}
    assert list(rows) == [(spec, eps) for spec in (study.OURS, "tvm") for eps in study.EPS]
    row = rows[study.OURS, "1"]
    assert (row["photographs"], row["clean"], row["knows"]) == ("8", "8", "2")
    low, high = (f"{100 * end:.0f}" for end in share_of(2, 8).numbers[1:])
    assert (row["knows_low"], row["knows_high"]) == (low, high)
    assert (rows[study.OURS, "2"]["knows"], row["does_not_know"]) == ("0", "8")
    assert (row["cpu_seconds"], row["steps"], row["most_steps"]) == ("0.50", "2.5", "40")
    assert (row["each_time"], row["majority"]) == ("", "")
    assert (rows["tvm", "1"]["each_time"], rows["tvm", "1"]["majority"]) == ("1", "2")
    (first, _) = study.whole(blocks)
    assert (first["photographs"], first["fast"], first["whole"]) == ("4", "1", "1")
    facts = {row["key"]: row["value"] for row in study.about(blocks, "a machine")}
    minutes = 0.5 * 171 * 3 * len(study.EPS) / 2 / 60  # half a second an image, two cores
    assert float(facts["fast_minutes"]) == pytest.approx(minutes, abs=0.05)
    assert float(facts["whole_hours"]) == pytest.approx(minutes / 60, abs=0.05)


def test_only_photographs_that_all_attacks_have_seen_count(blocks):
    study.make(blocks, 8, 0)
    assert list(study.whole(blocks)) == []
    missing = blocks._path(study.OURS, study.GRAY.format("4"), 4)
    missing.unlink()
    assert {row["photographs"] for row in study.left(blocks)} == {"4"}
    blocks._path(study.OURS, study.GRAY.format("4"), 0).unlink()
    rows = [row for row in study.left(blocks) if row["spec"] == study.OURS]
    assert [row["eps"] for row in rows] == ["1", "2", "8"]
    assert {row["photographs"] for row in rows} == {"8"}


def test_nothing_is_made_twice_and_the_name_of_a_policy_does_not_matter(blocks, tmp_path):
    rules = REPOSITORY / "rsparse" / "defenses" / "policies" / "default.toml"
    copy = tmp_path / "another-name.toml"
    copy.write_text(rules.read_text(encoding="utf-8"), encoding="utf-8")
    made = blocks.made(study.OURS, "bim:eps=1", 0)
    blocks._make = None
    assert blocks.made(f"policy:{copy}", "bim:eps=1", 0) == made
    with pytest.raises(TypeError):
        blocks.made(study.OURS, "bim:eps=2", 0)


@pytest.mark.shared
def test_jpeg_falls_to_who_knows_it(tmp_path):
    photographs = list(study.right_photographs(SHARED, BLOCK))
    blocks = Blocks(photographs, SHARED, DICT, tmp_path)
    block = blocks.made("jpeg:quality=75", "adaptive:fast=yes,eps=8", 0)
    assert block.right == [False] * BLOCK
    assert any(block.clean)
    assert block.seconds > 0
    assert len(block.steps) == BLOCK
    assert blocks.made("jpeg:quality=75", "bim:eps=8", 0).steps == []
