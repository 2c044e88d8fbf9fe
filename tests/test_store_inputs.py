"""The inputs of a stage: images with their labels and records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rsparse.store.files import sha256_of, sha256_of_file
from rsparse.store.folders import MANIFEST, OutputFolder
from rsparse.store.inputs import load_inputs
from rsparse.store.records import IMAGES, Record
from rsparse.work.runs import save_png
from tests.conftest import make_picture
from tests.refusals import refused


def artifact(path: Path, labels: dict[str, int | None], stage: str = "attack") -> Path:
    folder = OutputFolder.open(path, {}, [], False)
    for seed, (name, label) in enumerate(labels.items()):
        entry = save_png(path, name, make_picture(seed, 4, 4))
        folder.journal.add(entry if label is None else {**entry, "label": label})
    folder.finish(Record(IMAGES, stage, {}), [])
    return path


def digests(inputs) -> dict[str, str]:
    return {image.name: sha256_of_file(image.path) for image in inputs.images}


def test_plain_folders_have_neither_labels_nor_records(pictures):
    inputs = load_inputs([pictures])
    assert [image.name for image in inputs.images] == ["a", "b", "sub/c"]
    assert inputs.labels == {}
    assert not inputs.have_records()
    known = digests(inputs)
    [source] = inputs.sources(known)
    lines = "".join(f"{name} {known[name]}\n" for name in ("a", "b", "sub/c"))
    assert (source.name, source.sha256, source.record) == ("imgs", sha256_of(lines.encode()), None)


def test_only_the_images_that_were_used_count(pictures):
    inputs = load_inputs([pictures])
    known = digests(inputs)
    del known["b"]
    lines = "".join(f"{name} {known[name]}\n" for name in ("a", "sub/c"))
    assert inputs.sources(known)[0].sha256 == sha256_of(lines.encode())
    assert inputs.sources({}) == ()


def test_artifacts_bring_labels_and_records(tmp_path):
    adv = artifact(tmp_path / "adv", {"a": 0, "cat/b": 7, "c": None})
    inputs = load_inputs([adv])
    assert inputs.labels == {"a": 0, "cat/b": 7}
    assert inputs.have_records()
    [source] = inputs.sources(digests(inputs))
    assert source.name == "adv"
    assert source.record["stage"] == "attack"
    assert "images" not in source.record


def test_artifacts_in_subfolders_keep_their_own_labels_and_records(tmp_path):
    artifact(tmp_path / "adv/fgsm", {"a": 1}, "attack-1")
    artifact(tmp_path / "adv/bim", {"a": 2, "deep/b": 3}, "attack-2")
    inputs = load_inputs([tmp_path / "adv"])
    assert inputs.labels == {"bim/a": 2, "bim/deep/b": 3, "fgsm/a": 1}
    sources = inputs.sources(digests(inputs))
    assert [(s.name, s.record["stage"]) for s in sources] == [
        ("bim", "attack-2"), ("fgsm", "attack-1"),
    ]  # fmt: skip
    (tmp_path / "adv/extra.png").write_bytes((tmp_path / "adv/fgsm/a.png").read_bytes())
    assert not load_inputs([tmp_path / "adv"]).have_records()


@pytest.mark.parametrize("below", [".", "cat"])
def test_a_file_of_an_artifact_brings_its_label_where_the_manifest_is_beside_it(tmp_path, below):
    adv = artifact(tmp_path / "adv", {f"{below}/a".removeprefix("./"): 5})
    inputs = load_inputs([adv / below / "a.png"])
    assert inputs.labels == ({"a": 5} if below == "." else {})
    assert inputs.have_records() is (below == ".")


def test_single_files_are_sources_by_themselves(pictures):
    files = [pictures / "b.png", pictures / "a.png"]
    inputs = load_inputs(files)
    sources = inputs.sources(digests(inputs))
    assert [(source.name, source.sha256) for source in sources] == [
        ("a.png", sha256_of_file(files[1])), ("b.png", sha256_of_file(files[0])),
    ]  # fmt: skip


def test_the_order_and_the_spelling_of_inputs_do_not_matter(tmp_path, monkeypatch):
    for name in ("z/one", "y/two"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / f"{name[-1]}.png").write_bytes(name.encode())
    monkeypatch.chdir(tmp_path / "z")
    spellings = (["one", "../y/two"], ["../y/two", tmp_path / "z/one"],
                 [tmp_path / "y/two", tmp_path / "z/one"])  # fmt: skip
    results = []
    for spelling in spellings:
        inputs = load_inputs([Path(path) for path in spelling])
        results.append((inputs.sources(digests(inputs)), inputs.names_digest()))
    assert results[0] == results[1] == results[2]


def test_the_names_digest_tells_names_apart(pictures):
    first = load_inputs([pictures]).names_digest()
    (pictures / "a.png").write_bytes((pictures / "b.png").read_bytes())
    assert load_inputs([pictures]).names_digest() == first
    (pictures / "d.png").write_bytes(b"x")
    assert load_inputs([pictures]).names_digest() != first


def test_a_manifest_above_the_input_is_not_looked_for(tmp_path):
    artifact(tmp_path / "adv", {"cat/a": 1})
    assert load_inputs([tmp_path / "adv/cat"]).labels == {}


@pytest.mark.parametrize("label", ["3", 3.5, None, [3], -1, True])
def test_a_manifest_with_labels_that_are_no_classes_is_refused(tmp_path, label):
    adv = artifact(tmp_path / "adv", {"a": 1})
    manifest = json.loads((adv / MANIFEST).read_text()) | {"checksum": None}
    manifest["images"][0]["label"] = label
    (adv / MANIFEST).write_text(json.dumps(manifest))
    with refused(f"{adv / MANIFEST}: is damaged or incomplete: images are not listed as expected"):
        load_inputs([adv])


def test_an_unfinished_or_damaged_artifact_is_refused(tmp_path):
    folder = OutputFolder.open(tmp_path / "imgs/adv", {}, [], False)
    save_png(folder.path, "a", make_picture(0, 4, 4))
    folder.journal.close()
    with refused(
        f"{tmp_path / 'imgs/adv'}: is unfinished because its run was interrupted; "
        "run the same command again to finish it"
    ):
        load_inputs([tmp_path / "imgs"])


@pytest.fixture
def purified(tmp_path: Path) -> Path:
    """A finished folder with the images a, b and sub/c."""
    folder = OutputFolder.open(tmp_path / "pur", {}, [], False)
    for seed, name in enumerate(("a", "b", "sub/c")):
        entry = save_png(folder.path, name, make_picture(seed))
        folder.journal.add({**entry, "source_sha256": "0" * 64, "label": seed})
    folder.finish(Record(IMAGES, "purify", {}), [])
    return folder.path


def test_an_image_that_differs_from_its_manifest_is_refused(purified):
    (purified / "b.png").write_bytes((purified / "a.png").read_bytes())
    images = {image.name: image for image in load_inputs([purified]).images}
    assert images["a"].read() == (purified / "a.png").read_bytes()
    with refused(f"{purified}/b.png: differs from the manifest of its folder"):
        images["b"].read()


def test_an_image_that_its_manifest_lists_but_is_missing_fails(purified):
    (purified / "a.png").unlink()
    inputs = load_inputs([purified])
    path = f"{purified}/a.png"
    why = "is missing, although the manifest of its folder lists it"
    assert inputs.failed == ({"name": "a", "path": path, "error": f"{path}: {why}"},)
    assert [image.name for image in inputs.images] == ["b", "sub/c"]
    assert load_inputs([purified / "sub"]).failed == ()
    assert load_inputs([purified / "b.png"]).failed == ()


def test_a_manifest_that_was_edited_is_refused(purified):
    manifest = purified / MANIFEST
    manifest.write_bytes(manifest.read_bytes().replace(b'"label": 1', b'"label": 2'))
    with refused(f"{manifest}: is damaged: it differs from its checksum"):
        load_inputs([purified])


def test_commands_name_images_that_differ_or_are_missing(purified, run_cli, dict_file):
    (purified / "sub/c.png").write_bytes((purified / "b.png").read_bytes())
    (purified / "a.png").unlink()
    out = purified.with_name("out")
    result = run_cli("purify", purified, "-d", dict_file, "--sparsity", 2, "-o", out)
    assert result.exit_code == 1
    assert [line for line in result.stderr.splitlines() if "skipped" in line] == [
        f"rsparse: skipped: {purified}/a.png: is missing, although the manifest of its folder "
        "lists it",
        f"rsparse: skipped: {purified}/sub/c.png: differs from the manifest of its folder",
    ]
