"""The checks of a release: each passes on what is right and fails on what is not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import release_check
import yaml

from rsparse import __version__
from tests.conftest import REPOSITORY


def test_addresses_that_do_not_exist_are_open() -> None:
    lines = list(release_check.addresses({"Source": "https://example.org/rsparse"}))
    assert ("ok", "Source: https://example.org/rsparse") in lines
    assert ("open", "Homepage is not in [project.urls] of pyproject.toml") in lines
    assert len(lines) == len(release_check.ADDRESSES)


def test_the_version_is_the_packages() -> None:
    assert release_check.version() == __version__


def test_a_tag_has_to_be_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_check, "REPOSITORY", tmp_path)
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text("# Changelog\n\n## 0.2.0, 2026-12-01\n")
    outcomes = [line[0] for line in release_check.tagged("v0.2.0", "0.2.0")]
    assert outcomes == ["ok", "ok"]
    assert [line[0] for line in release_check.tagged("v0.3.0", "0.2.0")] == ["FAILED", "ok"]
    changelog.write_text("# Changelog\n\n## 0.2.0, unreleased\n")
    assert [line[0] for line in release_check.tagged("v0.2.0", "0.2.0")] == ["ok", "FAILED"]


def test_a_tag_needs_a_section_in_the_changelog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_check, "REPOSITORY", tmp_path)
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 0.1.0, 2026-11-01\n")
    assert [line[0] for line in release_check.tagged("v0.2.0", "0.2.0")] == ["ok", "FAILED"]


def test_actions_are_pinned_and_may_do_only_what_they_need() -> None:
    """All but the publishing one, which its authors support as a branch only."""
    text = (REPOSITORY / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    uses = [s["uses"] for j in workflow["jobs"].values() for s in j["steps"] if "uses" in s]
    loose = [use for use in uses if not re.search(r"@[0-9a-f]{40}$", use)]
    assert loose == ["pypa/gh-action-pypi-publish@release/v1"]
    for use in uses[:-1]:
        assert re.search(rf"{use} # v\d+\.\d+\.\d+\n", text), use
    publishing = workflow["jobs"]["publish"]["permissions"]
    assert publishing == {"id-token": "write"}


def test_other_bytes_are_told(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.whl", "b.whl", "c.whl")]
    for file, content in zip(files, (b"1", b"1", b"2"), strict=True):
        file.write_bytes(content)
    assert [line[0] for line in release_check.same(files[:1], files[1:2])] == ["ok"]
    assert [line[0] for line in release_check.same(files[:1], files[2:])] == ["FAILED"]


@pytest.mark.slow
def test_two_builds_have_the_same_bytes(tmp_path: Path) -> None:
    first = release_check.build(tmp_path / "first")
    second = release_check.build(tmp_path / "second")
    assert {line[0] for line in release_check.same(first, second)} == {"ok"}


def test_what_fails_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert release_check._runs([sys.executable, "-c", "pass"])
    assert not release_check._runs([sys.executable, "-c", "raise SystemExit('it broke')"])
    assert "it broke" in capsys.readouterr().err


def test_the_citation_names_this_version() -> None:
    citation = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {__version__}\n" in citation


def test_the_make_target_exists() -> None:
    listed = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True)
    assert "make release-check" in listed.stdout
