"""Attacks through a defense: a toy scenario and attack, from the command line to the report."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from rsparse.attacks import ATTACKS
from rsparse.evaluation import statistics
from rsparse.evaluation.loading import load_evaluation
from rsparse.evaluation.scenarios import SCENARIOS
from rsparse.store.files import sha256_of_file
from rsparse.store.folders import read_manifest, record_of
from tests.colour_evaluations import make_images, read_csv
from tests.colours import MODEL, read
from tests.conftest import REPOSITORY
from tests.toy_adaptive import BareAttack, ToyAttack, ToyScenario

pytest.importorskip("torch")

DICT = REPOSITORY / "fixtures" / "dict.h5"
THROUGH = ("", "regionsparse-sparsity=1", "jpeg-quality=20")
TOY = "toy-adaptive"
ABLE = ", ".join([*ATTACKS, ToyAttack.name])


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    monkeypatch.setitem(ATTACKS, ToyAttack.name, ToyAttack)
    monkeypatch.setitem(ATTACKS, BareAttack.name, BareAttack)
    monkeypatch.setitem(SCENARIOS, ToyScenario.name, ToyScenario)


def arguments(images: Path, output: Path, *more: object) -> tuple[object, ...]:
    return ("evaluate", images, "-m", MODEL, "-a", "toy-bim:eps=2,8,steps=2",
            "--defense", "regionsparse:sparsity=1", "--defense", "jpeg:quality=20", "-d", DICT,
            "--scenario", "gray-box", "--scenario", TOY, "-j", 1, "-o", output, *more)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    from typer.testing import CliRunner

    from rsparse.cli import app

    root = tmp_path_factory.mktemp("through")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ATTACKS, ToyAttack.name, ToyAttack)
        patch.setitem(SCENARIOS, ToyScenario.name, ToyScenario)
        words = arguments(make_images(root / "imgs"), root / "eval")
        result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.stderr
    (root / "stderr.txt").write_text(result.stderr)
    return root


def test_each_defense_has_a_column_of_its_own(whole):
    found = load_evaluation(whole / "eval")
    assert [(c.scenario, c.through, c.attack) for c in found.columns[3:]] == [
        (TOY, through, f"toy-bim-eps={eps}-steps=2") for eps in (2, 8) for through in THROUGH
    ]
    tried = {(t.column[3], t.defense) for t in found.trials if t.column[0] == TOY}
    assert tried == {("", "none"), *((text, text) for text in THROUGH[1:])}
    assert len(found.trials) == 3 + 2 * 3 + 2 * 3
    assert statistics.threats(found) == [(s, "colours", "colours") for s in ("gray-box", TOY)]


def test_the_folders_of_attacks_and_trials(whole):
    attacks = {path.name for path in (whole / "eval/attacks/colours").iterdir()}
    assert {name for name in attacks if name.startswith("through-")} == {
        f"through-{text}" for text in THROUGH[1:]
    }
    for text in THROUGH[1:]:
        place = whole / f"eval/trials/colours/through-{text}/toy-bim-eps=8-steps=2"
        assert [path.name for path in place.iterdir()] == [f"{text}.h5"]
    shared = whole / "eval/trials/colours/toy-bim-eps=8-steps=2"
    assert {path.stem for path in shared.iterdir()} == {"none", *THROUGH[1:]}


def test_the_attack_sees_the_defense(whole):
    """Through the mirror, each pixel moves in the opposite direction by the same amount."""
    attacks = whole / "eval/attacks/colours"
    name = "toy-bim-eps=8-steps=2/red/00.png"
    benign = read(whole / "eval/clean/red/00.png").astype(int)
    bare = read(attacks / name).astype(int)
    mirrored = read(attacks / "through-jpeg-quality=20" / name).astype(int)
    assert np.abs(bare - benign).max() == 3  # two steps of a fifth of eps
    inside = (benign > 3) & (benign < 252)
    np.testing.assert_array_equal((mirrored - benign)[inside], (benign - bare)[inside])
    same = read(attacks / "through-regionsparse-sparsity=1" / name)
    np.testing.assert_array_equal(same, bare)


def test_the_record_names_the_defense_that_was_attacked_through(whole):
    attacks = whole / "eval/attacks/colours"

    def record(place: str) -> dict:
        return record_of(read_manifest(attacks / place / "toy-bim-eps=8-steps=2"))

    bare, jpeg, ours = map(record, ("", *(f"through-{t}" for t in reversed(THROUGH[1:]))))
    assert "through" not in bare["parameters"]
    assert jpeg["parameters"]["through"]["name"] == "jpeg"
    digest = sha256_of_file(DICT)
    assert digest in {source["sha256"] for source in ours["inputs"]}
    assert digest not in {source["sha256"] for source in jpeg["inputs"]}


def test_the_tables_name_the_defense(whole):
    rows = [row for row in read_csv(whole / "eval/results.csv") if row["scenario"] == TOY]
    assert [(row["through"], row["defense"]) for row in rows] == [
        (text, text or "none") for text in THROUGH
    ] * 2
    text = (whole / "stderr.txt").read_text()
    assert f"{TOY}, attacks on colours" in text
    checks = read_csv(whole / "eval/checks.csv")
    strongest = [c for c in checks if c["name"] == "adaptive attacks are strongest"]
    pairs = {(c["scenario"], c["defense"]) for c in strongest}
    assert pairs == {("gray-box", ""), *((TOY, text or "none") for text in THROUGH)}
    assert {c["outcome"] for c in strongest if c["scenario"] == TOY} == {"undecided"}  # 8 images
    huge = {
        c["defense"]: c["detail"]
        for c in checks
        if (c["name"], c["scenario"]) == ("a huge eps reaches chance", TOY)
    }
    assert all("toy-bim-eps=128" in detail for detail in huge.values())
    for text in THROUGH[1:]:  # attacked through the defense it is tested against
        attack = f"attacks/colours/through-{text}/toy-bim-eps=128-steps=2"
        assert (whole / "eval" / attack).is_dir()
    threat = next(
        c["detail"] for c in checks if (c["name"], c["scenario"]) == ("threat model", TOY)
    )
    assert threat == (
        "the attacker knows the classifier and the defense; 2 untargeted attacks on colours, made "
        "through each defense"
    )


def test_nothing_is_made_twice(whole, run_cli):
    found = json.loads(run_cli(*arguments(whole / "imgs", whole / "eval", "--json")).stdout)
    assert found["done"] == 0
    dry = json.loads(
        run_cli(*arguments(whole / "imgs", whole / "eval", "--json", "--dry-run")).stdout
    )
    assert (dry["attacks_left"], dry["trials_left"]) == (0, 0)


def test_a_dry_run_counts_and_measures_what_is_made_through(whole, tmp_path, run_cli):
    words = arguments(whole / "imgs", tmp_path / "e", "--json", "--dry-run", "--no-extra-checks")
    found = json.loads(run_cli(*words).stdout)
    assert (found["attacks_left"], found["trials"]) == (2 * 3, 3 + 2 * 3 + 2 * 2)
    assert found["attack_seconds"] > 0


def test_images_attacked_through_another_dictionary_are_refused(whole, tmp_path, run_cli):
    shutil.copytree(whole / "eval", tmp_path / "eval")
    other = tmp_path / "dict.h5"
    learned = run_cli("learn-dict", whole / "imgs", "-o", other, "--patch-size", 4, "-j", 1,
                      "--n-atoms", 20, "--patches-per-image", 50)  # fmt: skip
    assert learned.exit_code == 0, learned.stderr
    words = arguments(whole / "imgs", tmp_path / "eval")
    place = "attacks/colours/through-regionsparse-sparsity=1/toy-bim-eps=2-steps=2"
    result = run_cli(*(other if word == DICT else word for word in words))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        f"rsparse: error: {tmp_path / 'eval' / place}: was made from other images, with another "
        "model, through another defense or dictionary, or with another seed or batch size; choose "
        "another output or pass --overwrite"
    )


def test_the_page_shows_it(whole, tmp_path, run_cli):
    result = run_cli("report", whole / "eval", "-o", tmp_path / "report", "-d", DICT,
                     "-m", MODEL, "--format", "html", "--format", "md")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    page = (tmp_path / "report/index.html").read_text()
    assert "the attacker knows colours and the defense, and attacks through it" in page
    assert "through jpeg-quality=20 toy-bim-eps=8-steps=2" in page
    attacks = (tmp_path / "report/data/attacks.csv").read_text().splitlines()
    assert attacks[0].startswith("scenario,made on,judged by,through,attack")
    markdown = (tmp_path / "report/report.md").read_text()
    assert f"All defenses, {TOY}" in markdown


def test_an_attack_on_the_bare_model_is_refused(assert_error, tmp_path):
    images = make_images(tmp_path / "imgs")
    assert_error(
        "attack bare-bim-eps=8 cannot be made through jpeg-quality=20: it only attacks the bare "
        f"model; attacks that can: {ABLE}",
        "evaluate", images, "-m", MODEL, "-a", "bare-bim:eps=8", "--defense", "jpeg:quality=20",
        "--scenario", TOY, "-o", tmp_path / "eval",
    )  # fmt: skip
    assert not (tmp_path / "eval").exists()


def test_an_attack_run_refuses_it_itself(tmp_path):
    from rsparse.commands.attack.attack import attack_chosen
    from rsparse.commands.attack.through import AttackedDefense
    from rsparse.defenses import Resources, parse_defense
    from rsparse.options.attack import AttackRunParameters
    from tests.refusals import refused

    images = make_images(tmp_path / "imgs")
    (defense,) = parse_defense("median")
    through = AttackedDefense.of(defense, Resources({}, 0), {})
    with refused(
        "attack bare-bim-eps=8 cannot be made through median-size=3: it only attacks the bare "
        f"model; attacks that can: {ABLE}"
    ):
        attack_chosen([images], MODEL, [BareAttack()], tmp_path / "adv", AttackRunParameters(),
                      None, {"red/00": 0}, through=through)  # fmt: skip
    assert not (tmp_path / "adv").exists()


def test_an_attacker_through_a_defense_comes_back_from_a_pickle():
    from rsparse.commands.attack.attacker import Attacker
    from rsparse.commands.attack.through import AttackedDefense, DefendedModel
    from rsparse.defenses import Resources, parse_defense
    from rsparse.models.onnx.classifier import load_classifier

    (defense,) = parse_defense("jpeg:quality=20")

    def attacker(seed: int) -> Attacker:
        through = AttackedDefense.of(defense, Resources({}, seed), {})
        return Attacker(
            load_classifier(MODEL), "cpu", False, 0, DefendedModel(ToyAttack(), through)
        )

    first, again = (pickle.loads(pickle.dumps(attacker(3))) for _ in range(2))
    assert first is again  # the model is loaded once
    assert type(first.check().module).__name__ == "Mirror"
    assert not first.module.training
    assert pickle.loads(pickle.dumps(attacker(4))) is not first
