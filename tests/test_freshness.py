"""How existing artifacts are treated by another release and by another method."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from rsparse.commands.train.retraining import purify_once
from rsparse.defenses import parse_defense
from rsparse.options.purify import PurifyRunParameters
from rsparse.store import records
from rsparse.store.folders import JOURNAL, MANIFEST, read_manifest
from rsparse.store.inputs import load_inputs
from rsparse.store.job import METHODS
from rsparse.store.lines import to_checked_line
from rsparse.work.device import CPU
from tests.colours import MODEL, picture, save
from tests.conftest import tree_of
from tests.methods import raise_method
from tests.refusals import refused

TRIALS = 4  # clean and one attack, with no defense and with JPEG


@pytest.fixture(autouse=True, scope="module")
def first_methods():
    """Every stage is at its first method, whatever its number is now."""
    with pytest.MonkeyPatch.context() as patched:
        for stage in METHODS:
            patched.setitem(METHODS, stage, 1)
        yield


@pytest.fixture
def another_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "GENERATOR", "rsparse 99")


def arguments(root: Path, *more: object) -> list[str]:
    """Arguments that evaluate the images in ``imgs`` into ``e``."""
    words = ("evaluate", root / "imgs", "-m", MODEL, "-a", "fgsm", "--defense", "jpeg",
             "--no-extra-checks", "-j", 1, "-o", root / "e", *more)  # fmt: skip
    return list(map(str, words))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished evaluation."""
    pytest.importorskip("torch")
    from typer.testing import CliRunner

    from rsparse.cli import app

    root = tmp_path_factory.mktemp("made")
    for number, label in enumerate(("red", "green", "blue")):
        save(root / "imgs" / label / f"{label}.png", picture(number, 40))
    result = CliRunner().invoke(app, arguments(root))
    assert result.exit_code == 0, result.stderr
    return root


class TestEvaluation:
    @pytest.fixture
    def root(self, made: Path, tmp_path: Path) -> Path:
        """A copy that tests may change."""
        shutil.copytree(made, tmp_path / "copy")
        return tmp_path / "copy"

    def evaluate(self, run_cli: Callable[..., Result], root: Path, *more: object) -> dict[str, Any]:
        result = run_cli(*arguments(root, "--json", *more))
        assert result.exit_code == 0, result.stderr
        outcome: dict[str, Any] = json.loads(result.stdout)
        return outcome | {"stderr": result.stderr}

    def refusal(self, run_cli: Callable[..., Result], root: Path) -> str:
        result = run_cli(*arguments(root))
        assert result.exit_code == 2
        return str(result.stderr.splitlines()[-1])

    @pytest.mark.usefixtures("another_release")
    def test_another_release_judges_nothing_again(self, run_cli, root):
        before = {path: path.stat().st_mtime_ns for path in (root / "e").glob("*/**/*")}
        outcome = self.evaluate(run_cli, root)
        assert (outcome["done"], outcome["resumed"]) == (0, TRIALS)
        assert outcome["judged_again"] == {}
        assert "judged again" not in outcome["stderr"]
        assert {path: path.stat().st_mtime_ns for path in before} == before

    def test_trials_of_another_method_are_judged_again_and_it_says_so(
        self, run_cli, root, monkeypatch
    ):
        attacks = tree_of(root / "e" / "attacks")
        changed = raise_method(monkeypatch, "judge")
        assert self.evaluate_plan(run_cli, root)["trials_left"] == TRIALS
        outcome = self.evaluate(run_cli, root)
        assert (outcome["done"], outcome["resumed"]) == (TRIALS, 0)
        assert outcome["judged_again"] == {changed: TRIALS}
        line = f"{TRIALS} trials were judged again: made by {changed}"
        assert line in outcome["stderr"].splitlines()
        assert tree_of(root / "e" / "attacks") == attacks
        assert self.evaluate_plan(run_cli, root)["trials_left"] == 0
        assert self.evaluate(run_cli, root)["judged_again"] == {}

    def evaluate_plan(self, run_cli: Callable[..., Result], root: Path) -> dict[str, Any]:
        result = run_cli(*arguments(root, "--dry-run", "--json"))
        plan: dict[str, Any] = json.loads(result.stdout)
        return plan

    def test_trials_of_images_that_another_method_attacked_are_judged_again(
        self, run_cli, root, monkeypatch
    ):
        """The images are byte-identical, but another method made them."""
        changed = raise_method(monkeypatch, "attack")
        shutil.rmtree(root / "e" / "attacks")
        outcome = self.evaluate(run_cli, root)
        assert (outcome["done"], outcome["resumed"]) == (TRIALS // 2, TRIALS // 2)
        assert outcome["judged_again"] == {changed: TRIALS // 2}

    def test_attacks_of_another_method_are_refused(self, run_cli, root, monkeypatch):
        changed = raise_method(monkeypatch, "attack")
        assert self.refusal(run_cli, root) == (
            f"rsparse: error: {root}/e/attacks/colours/fgsm-eps=8: was made by {changed}; "
            "choose another output or pass --overwrite"
        )
        assert self.evaluate(run_cli, root, "--overwrite")["done"] == TRIALS
        assert read_manifest(root / "e/attacks/colours/fgsm-eps=8")["method"] == METHODS["attack"]

    def test_a_selection_of_another_method_is_refused(self, run_cli, root, monkeypatch):
        changed = raise_method(monkeypatch, "select")
        assert self.refusal(run_cli, root) == (
            f"rsparse: error: {root}/e: was made by {changed}; choose another "
            "output or pass --overwrite"
        )

    def test_an_evaluation_of_an_older_version_is_replaced(self, run_cli, root):
        """It is refused in one line, and --overwrite can replace it."""
        for manifest in (root / "e").rglob(MANIFEST):
            content = json.loads(manifest.read_text()) | {"format_version": 1, "checksum": None}
            del content["method"]
            manifest.write_text(json.dumps(content))
        assert self.refusal(run_cli, root) == (
            f"rsparse: error: {root}/e/clean/manifest.json: was written by an older rsparse; make "
            "it again with 'rsparse evaluate --overwrite'"
        )
        assert self.evaluate(run_cli, root, "--overwrite")["done"] == TRIALS

    def test_judging_goes_on_in_another_release(self, run_cli, root, monkeypatch):
        """The predictions of an interrupted run are reused, since they belong to the same job."""
        from rsparse.commands.evaluate import judge

        shutil.rmtree(root / "e" / "trials")
        counts, run_images = [], judge.run_images

        def counted(*arguments: Any, **options: Any) -> Any:
            counts.append(run_images(*arguments, **options))
            return counts[-1]

        monkeypatch.setattr(judge, "run_images", counted)
        with monkeypatch.context() as patch:
            patch.setattr(judge, "save_predictions", lambda *_: pytest.fail("interrupted"))
            with pytest.raises(pytest.fail.Exception):
                self.evaluate(run_cli, root)
        monkeypatch.setattr(records, "GENERATOR", "rsparse 99")
        self.evaluate(run_cli, root)
        assert [count[:2] for count in counts[:3]] == [(3, 0), (0, 3), (3, 0)]


class TestCache:
    """Images purified once for several trainings."""

    def purify(self, images: Path, place: Path, *, overwrite: bool = False) -> None:
        (defense,) = parse_defense("median:size=3")
        purify_once([images], defense, place, {}, PurifyRunParameters(), overwrite=overwrite)

    def stamps(self, place: Path) -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in place.rglob("*")}

    def test_another_release_keeps_it(self, pictures, tmp_path, monkeypatch):
        self.purify(pictures, tmp_path / "place")
        before = self.stamps(tmp_path / "place")
        monkeypatch.setattr(records, "GENERATOR", "rsparse 99")
        self.purify(pictures, tmp_path / "place")
        assert self.stamps(tmp_path / "place") == before

    def test_another_method_refuses_it(self, pictures, tmp_path, monkeypatch):
        self.purify(pictures, tmp_path / "place")
        before = self.stamps(tmp_path / "place")
        changed = raise_method(monkeypatch, "purify")
        with refused(
            f"{tmp_path / 'place'}: was made by {changed}; choose another output "
            "or pass --overwrite"
        ):
            self.purify(pictures, tmp_path / "place")
        assert self.stamps(tmp_path / "place") == before
        self.purify(pictures, tmp_path / "place", overwrite=True)
        assert read_manifest(tmp_path / "place")["method"] == METHODS["purify"]

    def test_so_does_another_method_of_what_it_was_purified_from(self, pictures, tmp_path):
        """The pictures are byte-identical."""
        source = tmp_path / "source"
        (defense,) = parse_defense("jpeg")
        purify_once([pictures], defense, source, {}, PurifyRunParameters())
        self.purify(source, tmp_path / "place")
        now = METHODS["purify"]
        (source / MANIFEST).write_text(json.dumps({**read_manifest(source), "method": now + 1}))
        with refused(
            f"{tmp_path / 'place'}: was made by method {now} of purify, not {now + 1}; choose "
            "another output or pass --overwrite"
        ):
            self.purify(source, tmp_path / "place")

    def test_one_of_an_older_version_is_refused_or_replaced(self, pictures, tmp_path):
        place = tmp_path / "place"
        self.purify(pictures, place)
        content = {**read_manifest(place), "format_version": 1}
        del content["method"]
        (place / MANIFEST).write_text(json.dumps(content))
        with refused(
            f"{place}: was made by an older method of purify; choose another output or pass "
            "--overwrite"
        ):
            self.purify(pictures, place)
        self.purify(pictures, place, overwrite=True)
        assert read_manifest(place)["format_version"] == 2

    def test_an_image_that_could_not_be_purified_does_not_make_it_stale(self, pictures, tmp_path):
        (pictures / "b.png").write_bytes(b"no image")
        self.purify(pictures, tmp_path / "place")
        before = self.stamps(tmp_path / "place")
        self.purify(pictures, tmp_path / "place")
        assert self.stamps(tmp_path / "place") == before
        save(pictures / "new.png", picture(0, 40))
        with refused(
            f"{tmp_path / 'place'}: was purified from other images, or with another dictionary or "
            "device; choose another output or pass --overwrite"
        ):
            self.purify(pictures, tmp_path / "place")


class TestUnfinishedRun:
    @pytest.fixture
    def words(self, run_cli: Callable[..., Result], pictures: Path, tmp_path: Path) -> list[str]:
        """Arguments of a purify run that was interrupted after two of three images."""
        from rsparse.commands.purify import purify_job

        (defense,) = parse_defense("median")
        job = purify_job(load_inputs([pictures]), defense, {}, PurifyRunParameters(), CPU)
        out = tmp_path / "out"
        words = ["purify", pictures, "--defense", "median", "--device", "cpu", "-o", out]
        assert run_cli(*words).exit_code == 0
        lines = [job.identity(), *read_manifest(out)["images"][:2]]
        (out / MANIFEST).unlink()
        (out / JOURNAL).write_bytes(b"".join(map(to_checked_line, lines)))
        return list(map(str, words))

    @pytest.mark.usefixtures("another_release")
    def test_another_release_goes_on(self, run_cli, words):
        outcome = json.loads(run_cli(*words, "--json").stdout)
        assert (outcome["done"], outcome["resumed"]) == (1, 2)

    def test_another_method_refuses(self, assert_error, run_cli, words, monkeypatch):
        raise_method(monkeypatch, "purify")
        assert_error(
            f"{words[-1]}: holds an unfinished run of another rsparse version with a different "
            "method; pass --overwrite to start again",
            *words,
        )
        outcome = json.loads(run_cli(*words, "--overwrite", "--json").stdout)
        assert (outcome["done"], outcome["resumed"]) == (3, 0)
