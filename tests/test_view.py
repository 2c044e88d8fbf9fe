"""The page of ``rsparse view`` over real HTTP: what it serves, and bad input."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rsparse.core.change import amplified_difference
from rsparse.store.images import decode_image
from rsparse.viewer.filters import filters_of
from rsparse.viewer.server import ViewServer
from rsparse.viewer.versions import Scene
from tests.processes import start
from tests.versions import (
    HOSTILE,
    NAMES,
    ask,
    folders,
    get,
    get_json,
    not_served,
    pixels_of,
    server,
    serving,
    write_all,
    write_photos,
    write_version,
)

__all__ = ["folders", "not_served", "server"]  # the fixtures


def test_versions_come_in_the_order_of_the_pipeline(folders: list[Path]) -> None:
    with serving([folders[2], folders[0], folders[1]]) as server:
        shown = get_json(server, "scene")["versions"]
    assert [(v["title"], v["kind"]) for v in shown] == [
        ("photos", "benign"),
        ("adv", "attacked"),
        ("purified", "purified"),
    ]


def test_filters_count_images(server: ViewServer) -> None:
    filters = {each["text"]: each["count"] for each in get_json(server, "scene")["filters"]}
    assert filters == {
        "lost under attack": 4,
        "right in spite of the attack": 1,
        "left unchanged: purified": 1,
        "changed lightly: purified": 3,
        "changed strongly: purified": 1,
    }
    lost = get_json(server, "items?kept=lost&words=&start=0&end=100")
    assert lost["total"] == 4
    assert {item["versions"][1]["right"] for item in lost["items"]} == {False}


def test_words_search_names_and_classes(server: ViewServer) -> None:
    def names(words: str) -> list[str]:
        items = get_json(server, f"items?words={words}&start=0&end=9")["items"]
        return [item["name"] for item in items]

    assert names("cat") == ["cat/01", "cat/02"]
    assert names("DOG%2001") == ["dog/01"]
    assert names("onerror") == [HOSTILE]
    assert names("no-such-name") == []


def test_the_list_comes_in_pieces(server: ViewServer) -> None:
    piece = get_json(server, "items?start=1&end=3")
    assert (piece["total"], [item["id"] for item in piece["items"]]) == (5, [1, 2])
    assert get_json(server, "items?start=90&end=99")["items"] == []


def test_pictures_are_exact(server: ViewServer, folders: list[Path]) -> None:
    pixels = [decode_image((folder / f"{NAMES[1]}.png").read_bytes(), folder) for folder in folders]
    number = get_json(server, "items?words=cat/02&start=0&end=1")["items"][0]["id"]
    shown = pixels_of(get(server, f"picture?version=1&id={number}"))
    assert np.array_equal(shown, pixels[1])
    difference = pixels_of(get(server, f"difference?before=0&version=1&id={number}"))
    assert np.array_equal(
        difference, np.clip(128 + 10 * (pixels[1].astype(int) - pixels[0]), 0, 255)
    )
    small = pixels_of(get(server, f"thumbnail?version=0&id={number}"))
    assert small.shape == pixels[0].shape


def test_the_difference_is_clipped() -> None:
    black, white = (np.full((1, 1, 3), value, np.uint8) for value in (0, 255))
    assert amplified_difference(black, white).max() == 255
    assert amplified_difference(white, black).max() == 0
    assert amplified_difference(black, black).max() == 128


def test_an_image_tells_its_history(server: ViewServer) -> None:
    html = get(server, "image?id=1").decode()
    assert "which is that of photos" in html
    assert "which is that of adv" in html
    assert "attack, rsparse-images by rsparse" in html
    assert "rule 2: jpeg:quality=75" in html
    assert "&lt;b&gt;bold&lt;/b&gt;" in html
    assert "<b>bold" not in html


def test_hostile_names_are_escaped(server: ViewServer) -> None:
    number = get_json(server, "items?words=onerror&start=0&end=1")["items"][0]["id"]
    html = get(server, f"image?id={number}").decode()
    assert HOSTILE not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html


def test_a_damaged_image_is_told_and_the_others_shown(tmp_path: Path) -> None:
    photos, adv, _ = write_all(tmp_path)
    (photos / "cat/01.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (adv / "cat/02.png").write_bytes((adv / "cat/01.png").read_bytes())
    with serving([photos, adv]) as server:
        status, _, content = ask(server, f"/{server.token}/thumbnail?version=0&id=0")
        assert (status, b"cat/01.png: cannot be decoded" in content) == (422, True)
        status, _, content = ask(server, f"/{server.token}/picture?version=1&id=1")
        assert (status, b"differs from the manifest" in content) == (422, True)
        assert "cannot be decoded" in get(server, "image?id=0").decode()
        assert get(server, "thumbnail?version=0&id=2")


def test_an_image_that_is_missing_in_a_folder_is_told(tmp_path: Path) -> None:
    photos, adv, _ = write_all(tmp_path)
    (adv / "cat/01.png").unlink()
    with serving([photos, adv]) as server:
        scene = get_json(server, "scene")
        assert {"key": "missing-1", "text": "not in adv", "count": 1} in scene["filters"]
        (item,) = get_json(server, "items?kept=missing-1&start=0&end=9")["items"]
        assert (item["name"], item["versions"][1]) == ("cat/01", None)
        assert "cat/01: is not in this folder" in get(server, "image?id=0").decode()


def test_what_cleaning_saved_is_told_of_its_own_source_only(tmp_path: Path) -> None:
    """Images that were purified from photographs were never attacked, so nothing was saved."""
    photos, adv, _ = write_all(tmp_path)
    entries = {name: {"label": 0, "psnr": 40.0} for name in NAMES}
    for sources, name in ((adv, "of-adv"), (photos, "of-photos")):
        write_version(tmp_path / name, "purify", sources, entries, 1)
    with serving([photos, adv, tmp_path / "of-adv", tmp_path / "of-photos"]) as server:
        versions = server.site.listing.scene().versions
    assert [v.source and v.source.title for v in versions] == [None, None, "adv", "photos"]
    versions[2].predictions = versions[3].predictions = versions[0].predictions  # all right
    texts = [each.text for each in filters_of(Scene(versions, server.site.listing.scene().labels))]
    assert [text for text in texts if "saved" in text] == ["saved: of-adv"]


def test_attacked_images_alone_can_be_filtered(folders: list[Path]) -> None:
    with serving([folders[1]]) as server:
        filters = get_json(server, "scene")["filters"]
    assert [(each["text"], each["count"]) for each in filters] == [("wrong: adv", 4)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_signal_ends_it(folders, tmp_path, monkeypatch, number):
    """The address that the browser gets is another one than that on standard output."""
    opened = tmp_path / "opened"
    monkeypatch.setenv("BROWSER", f"{sys.executable} -c \"open('{opened}','w').write('%s')\"")
    with start("view", *folders) as running:
        address = running.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        deadline = time.monotonic() + 30
        while not (opened.exists() and opened.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert opened.read_text().startswith(address.rsplit("/", 2)[0])
        assert opened.read_text() != address
        begin = time.monotonic()
        os.kill(running.pid, number)
        _, stderr = running.communicate(timeout=30)
        assert time.monotonic() - begin < 2.5
    assert running.returncode == 128 + number
    first, last = stderr.splitlines()
    assert first == "5 images; Ctrl-C ends the page"
    assert last.startswith("rsparse: ")


def test_bad_input_is_one_line(assert_error, not_served, tmp_path, folders, dict_file):
    photos = write_photos(tmp_path / "photos")
    other = write_photos(tmp_path / "other", ("x", "y"))
    table = tmp_path / "pred.csv"
    table.write_text("name,class_1\n")
    missing = tmp_path / "none"
    assert_error(f"{missing}: no such file or folder", "view", missing)
    assert_error(
        f"{photos} and {other}: have no image names in common; they contain, for example, "
        "'cat/01' and 'x'",
        "view", photos, other,
    )  # fmt: skip
    assert_error(f"{table}: is a table; give the folder of its images too", "view", table)
    assert_error(
        f"{table}: has no pred.csv.json beside it, so it is unknown which images it is of; "
        "rsparse classify and rsparse detect write both",
        "view", photos, table,
    )  # fmt: skip
    model = tmp_path / "m.onnx"
    model.write_bytes(b"\x08\x08")
    assert_error(f"{model}: is not a PNG, JPEG, WebP, TIFF or BMP image", "view", model)
    assert_error(
        f"{dict_file}: has the format rsparse-dictionary, without images to show",
        "view", dict_file,
    )  # fmt: skip
    certified = tmp_path / "certified"
    certified.mkdir()
    for name in ("certificates.h5", "certified.png"):
        (certified / name).touch()
    assert_error(
        f"{certified}: holds certificates, without images to show; open its chart",
        "view", certified,
    )  # fmt: skip
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_error(
            f"port {port}: cannot be used: address already in use; choose another --port",
            "view", photos, "--port", port,
        )  # fmt: skip


def test_a_folder_of_artifacts_stands_for_them(tmp_path: Path) -> None:
    photos, adv, purified = write_all(tmp_path / "all")
    write_version(tmp_path / "all" / "masks", "localize", photos, {n: {} for n in NAMES}, 0)
    with serving([tmp_path / "all"]) as server:
        titles = [version["title"] for version in get_json(server, "scene")["versions"]]
    assert titles == [photos.name, adv.name, purified.name, "masks"]
