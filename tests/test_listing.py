"""``--list`` tells every parameter of every attack and defense."""

from __future__ import annotations

import dataclasses

import pytest

from rsparse.attacks import ATTACKS, PUBLISHED
from rsparse.cli.listing import listed
from rsparse.defenses import DEFENSES
from rsparse.options.fields import word_of


@pytest.mark.parametrize(
    ("command", "registry"), [("attack", ATTACKS | PUBLISHED), ("purify", DEFENSES)]
)
def test_everything_is_listed_without_other_arguments(run_cli, command, registry):
    result = run_cli(command, "--list")
    assert (result.exit_code, result.stderr) == (0, "")
    sections = [section.splitlines() for section in result.stdout.strip().split("\n\n")]
    assert [section[0] for section in sections] == sorted(registry)
    for name, section in zip(sorted(registry), sections, strict=True):
        starts = [line.split()[0] for line in section if line.startswith("    ") and "=" in line]
        for field in dataclasses.fields(registry[name]):
            default = "…" if field.default is dataclasses.MISSING else field.default
            word = default if default == "…" else word_of(field, default)
            assert f"{field.name}={word}".split()[0] in starts, (name, field.name)
        assert max(map(len, section)) <= 100


def test_inner_settings_of_carlini_wagner_are_told():
    text = " ".join(listed("cw-l2", ATTACKS["cw-l2"]).split())
    assert (
        "retries=3 Times that images for which nothing was found are tried with ten times" in text
    )
    assert "The learning rate is CleverHans's" in text
