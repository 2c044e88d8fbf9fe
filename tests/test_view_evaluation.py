"""An evaluation in ``rsparse view``: any attack behind any defense, cleaned when it is opened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsparse.defenses import Resources, parse_defense
from rsparse.evaluation.names import ADAPTIVE, GRAY_BOX
from rsparse.evaluation.results import CLEAN, Evaluation
from rsparse.store.images import decode_image
from rsparse.viewer.server import ViewServer
from tests.conftest import REPOSITORY
from tests.evaluations import make_eval_folder, make_evaluation
from tests.versions import ask, get, get_json, not_served, pixels_of, serving, write_photos

__all__ = ["not_served"]  # the fixture

DICTIONARY = REPOSITORY / "fixtures" / "dict.h5"
DEFENSES = (
    ("none", "none"),
    ("median-size=3", "median"),
    ("regionsparse-sparsity=2", "regionsparse"),
)


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    made = make_evaluation(defenses=DEFENSES, transfer=False, adaptive=True)
    odd = np.arange(len(made.names)) % 2 == 1
    columns = tuple(replace(column, rejected=odd) for column in made.columns)
    return replace(made, columns=columns)


@pytest.fixture(scope="module")
def folder(evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_eval_folder(tmp_path_factory.mktemp("view") / "eval", evaluation, [DICTIONARY])


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ViewServer]:
    with serving([folder]) as running:
        yield running


def chosen(server: ViewServer, attack: str, defense: str) -> str:
    """The part of an address that chooses an attack and a defense."""
    attacks, defenses = server.site.collection.choices
    numbers = attacks.options.index(attack), defenses.options.index(defense)
    return "".join(f"chosen={number}&" for number in numbers)


def test_the_judged_defense_and_the_first_scenario_come_first(server: ViewServer) -> None:
    attacks, defenses = server.site.collection.choices
    assert defenses.options == ("regionsparse-sparsity=2", "median-size=3")
    assert attacks.options[0].startswith("adaptive: ")
    assert "gray-box: bim-eps=2" in attacks.options


def test_filters_count_the_predictions(server: ViewServer, evaluation: Evaluation) -> None:
    scene = get_json(server, "scene?" + chosen(server, "gray-box: bim-eps=6", "median-size=3"))
    found = {each["text"]: each["count"] for each in scene["filters"]}
    none, median = evaluation.defenses[:2]
    (clean,) = (c for c in evaluation.columns if c.family == CLEAN)
    (bim,) = (c for c in evaluation.columns if c.attack == "bim-eps=6" and c.scenario == GRAY_BOX)
    right = {
        (column.family, defense.kind): evaluation.correct(column, defense)
        for column in (clean, bim)
        for defense in (none, median)
    }
    attacked, cleaned = right["bim", "none"], right["bim", "median"]
    expected = {
        "lost under attack": right["clean", "none"] & ~attacked,
        "saved: attacked, cleaned": ~attacked & cleaned,
        "still wrong: attacked, cleaned": ~attacked & ~cleaned,
        "harmed: benign, cleaned": right["clean", "none"] & ~right["clean", "median"],
        "rejected: attacked": bim.rejected,
        "left unchanged: attacked, cleaned": np.arange(len(attacked)) % 3 == 0,
    }
    counts = {text: int(flags.sum()) for text, flags in expected.items()}
    assert {text: found.get(text, 0) for text in counts} == counts


def test_an_adaptive_attack_is_the_one_through_the_defense(
    server: ViewServer, evaluation: Evaluation
) -> None:
    asked = chosen(server, "adaptive: bim-eps=6", "median-size=3")
    versions = server.site.listing.scene(*map(int, asked.replace("chosen=", "").split("&")[:2]))
    attacked, cleaned = versions.versions[1:3]
    (column,) = (
        c
        for c in evaluation.columns
        if (c.scenario, c.attack, c.through) == (ADAPTIVE, "bim-eps=6", "median-size=3")
    )
    trial = evaluation.trial(column, evaluation.defenses[1])
    assert attacked.predictions is None  # it was not tried without the defense
    assert np.array_equal(cleaned.predictions.classes, trial.prediction)
    texts = [each["text"] for each in get_json(server, f"scene?{asked}")["filters"]]
    assert "lost: attacked, cleaned" in texts


def test_a_picture_is_cleaned_as_the_evaluation_did(
    server: ViewServer, folder: Path, evaluation: Evaluation
) -> None:
    asked = chosen(server, "gray-box: bim-eps=6", "median-size=3")
    path = folder / "attacks" / evaluation.model / "bim-eps=6" / f"{evaluation.names[3]}.png"
    attacked = decode_image(path.read_bytes(), path)
    (median,) = parse_defense("median:size=3")
    cleaned = pixels_of(get(server, f"picture?{asked}version=2&id=3"))
    assert np.array_equal(cleaned, median.clean(attacked, Resources({}, 0)))
    difference = pixels_of(get(server, f"difference?{asked}before=1&version=2&id=3"))
    change = cleaned.astype(int) - attacked
    assert np.array_equal(difference, np.clip(128 + 10 * change, 0, 255))
    assert ask(server, f"/{server.token}/thumbnail?{asked}version=2&id=3")[0] == 404
    html = get(server, f"image?{asked}id=3").decode()
    assert "Made for this page, as the evaluation made it." in html
    assert "evaluate, rsparse-evaluation by rsparse" in html


def test_without_its_dictionary_a_defense_says_so(server: ViewServer, folder: Path) -> None:
    asked = chosen(server, "gray-box: bim-eps=6", "regionsparse-sparsity=2")
    status, _, content = ask(server, f"/{server.token}/picture?{asked}version=2&id=0")
    assert (status, content) == (422, b"regionsparse needs a dictionary: --dict dict.h5")
    with serving([folder], dictionaries={"": DICTIONARY}) as with_it:
        assert pixels_of(get(with_it, f"picture?{asked}version=2&id=0")).shape == (32, 32, 3)


def test_choices_have_to_be_there(server: ViewServer) -> None:
    for asked in ("", "chosen=0", "chosen=0&chosen=2", "chosen=99&chosen=0", "chosen=0&chosen=x"):
        assert ask(server, f"/{server.token}/scene?{asked}")[0] == 404


def test_other_versions_of_the_images_join(folder: Path, evaluation: Evaluation, tmp_path) -> None:
    masks = write_photos(tmp_path / "mine", evaluation.names[:3])
    with serving([folder, masks]) as server:
        scene = get_json(server, "scene?chosen=0&chosen=0")
    assert scene["versions"][-1]["title"] == "mine"
    missing = {each["text"]: each["count"] for each in scene["filters"]}["not in mine"]
    assert missing == len(evaluation.names) - 3


def test_what_does_not_belong_is_refused(assert_error, not_served, folder, tmp_path, dict_file):
    other = write_photos(tmp_path / "other", ("x",))
    copy = tmp_path / "copy"
    copy.symlink_to(folder)
    assert_error(f"{other}: has no image of the evaluation {folder}", "view", folder, other)
    assert_error(
        f"{copy}: is an evaluation, as {folder} is; give one of them", "view", folder, copy
    )
    assert_error(
        f"{dict_file}: is not the file that the evaluation used",
        "view", folder, "--dict", dict_file,
    )  # fmt: skip
