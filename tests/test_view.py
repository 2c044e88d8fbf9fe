"""The page of ``rsparse view`` over real HTTP: what it serves, and what it refuses."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rsparse.core.change import amplified_difference
from rsparse.options.view import ViewParameters
from rsparse.store.images import decode_image
from rsparse.viewer.filters import filters_of
from rsparse.viewer.server import ViewServer
from rsparse.viewer.versions import Scene
from tests.processes import start
from tests.versions import NAMES, not_served, serving, write_all, write_photos, write_version

__all__ = ["not_served"]  # the fixture

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_all(tmp_path_factory.mktemp("view"), (*NAMES, HOSTILE))


@pytest.fixture(scope="module")
def server(folders: list[Path]) -> Iterator[ViewServer]:
    with serving(folders) as running:
        yield running


def ask(
    server: ViewServer, path: str, *, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Ask for a path as it is, without any cleaning by a library."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), content


def get(server: ViewServer, page: str) -> bytes:
    status, _, content = ask(server, f"/{server.token}/{page}")
    assert status == 200, content
    return content


def get_json(server: ViewServer, page: str) -> Any:
    return json.loads(get(server, page))


def pixels_of(content: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]


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


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}", ""]
)
def test_only_the_loopbacks_name_is_answered(server: ViewServer, host: str) -> None:
    """A name of an attacker's that leads to this machine is no way in."""
    given = host.format(port=server.server_port)
    status, _, content = ask(server, f"/{server.token}/", Host=given)
    assert status == 403
    assert b"photos" not in content


def test_the_host_is_needed_once(server: ViewServer) -> None:
    for hosts in (b"", b"Host: %b\r\nHost: %b\r\n" % ((server.hosts[0].encode(),) * 2)):
        with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
            connection.sendall(b"GET /%b/ HTTP/1.1\r\n%b\r\n" % (server.token.encode(), hosts))
            assert connection.recv(1000).startswith(b"HTTP/1.1 403 ")


def test_localhost_is_answered(server: ViewServer) -> None:
    assert ask(server, f"/{server.token}/", Host=f"localhost:{server.server_port}")[0] == 200


@pytest.mark.parametrize("token", ["", "x", "{token}x", "{half}", "%00", "%C3%A9"])
def test_the_token_is_needed(server: ViewServer, token: str) -> None:
    given = token.format(token=server.token, half=server.token[:20])
    status, _, content = ask(server, f"/{given}/items?start=0&end=9")
    assert status == 403
    assert b"cat" not in content


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "X"]
)
def test_only_get_is_answered(server: ViewServer, method: str) -> None:
    status, headers, content = ask(server, f"/{server.token}/", method=method)
    assert (status, headers["Allow"]) == (405, "GET")
    assert b"photos" not in content


@pytest.mark.parametrize(
    "page",
    [
        "../../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "photos/cat/01.png", "/etc/passwd",
        "view.html", "templates/view.js", "view.js/", "%2e%2e/", "picture/../view.js",
        "picture?version=0&id=../../etc/passwd", "picture?version=0&id=5", "picture?version=3&id=0",
        "picture?version=0&id=-1", "picture?version=0", "picture?id=0", "picture?version=0&id=1e0",
        "picture?version=0&id=%D9%A1", "picture?version=0&id=99999999999999999999",
        "items?start=0", "difference?version=0&id=0", "scene?chosen=0", "image?id=" + "&a=1" * 30,
    ],
)  # fmt: skip
def test_nothing_else_is_served(server: ViewServer, page: str) -> None:
    status, _, content = ask(server, f"/{server.token}/{page}")
    assert (status, content) == (404, b"There is no such page.\n")


def test_links_lead_nowhere_else(tmp_path: Path) -> None:
    secret = write_photos(tmp_path / "secret", ("own",))
    photos = write_photos(tmp_path / "photos")
    (photos / "cat" / "file.png").symlink_to(secret / "own.png")
    (photos / "folder").symlink_to(secret)
    (photos / "cat" / "same.png").symlink_to(photos / "dog" / "01.png")
    (photos / "cat" / "loop.png").symlink_to(photos / "cat" / "loop.png")
    names = {"cat/file": 422, "folder/own": 422, "cat/loop": 422, "cat/same": 200}
    with serving([photos]) as server:
        ids = {i["name"]: i["id"] for i in get_json(server, "items?start=0&end=99")["items"]}
        for name, expected in names.items():
            for page in ("picture", "thumbnail"):
                path = f"/{server.token}/{page}?version=0&id={ids[name]}"
                status, _, content = ask(server, path)
                assert status == expected, (name, content)
                assert (b"leads out of its folder" in content) == (
                    name in ("cat/file", "folder/own")
                )
        html = get(server, f"image?id={ids['folder/own']}").decode()
        assert "leads out of its folder" in html
    (tmp_path / "link").symlink_to(photos)
    with serving([tmp_path / "link"], ViewParameters(follow_links=True)) as server:
        assert get(server, f"picture?version=0&id={ids['folder/own']}")


def test_links_in_a_folder_of_artifacts_are_not_taken(tmp_path: Path) -> None:
    """Else a manifest could name a link beside it that leads anywhere."""
    photos, adv, _ = write_all(tmp_path / "elsewhere")
    whole = tmp_path / "whole"
    write_version(whole / "adv", "attack", photos, {NAMES[0]: {}}, 1)
    (whole / "photos").symlink_to(photos)
    (whole / "other").symlink_to(adv)
    with serving([whole]) as server:
        assert [v["title"] for v in get_json(server, "scene")["versions"]] == ["adv"]
        assert get_json(server, "scene")["total"] == 1


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


def test_an_error_is_told_without_its_text(server, monkeypatch, capsys):
    def fail(page: str, query: str) -> None:
        raise ValueError("a secret")

    monkeypatch.setattr(server.site, "answer", fail)
    status, _, content = ask(server, f"/{server.token}/scene")
    assert (status, b"secret" in content) == (500, False)
    assert "ValueError: a secret" in capsys.readouterr().err


def test_the_page_may_load_nothing_else(server: ViewServer) -> None:
    status, headers, content = ask(server, f"/{server.token}/")
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert (status, b"<style" in content, b"<script>" in content) == (200, False, False)


def test_a_body_is_not_read_as_another_request(server: ViewServer) -> None:
    second = f"GET /{server.token}/view.js HTTP/1.1\r\nHost: {server.hosts[0]}\r\n\r\n"
    first = (
        f"GET /{server.token}/scene HTTP/1.1\r\nHost: {server.hosts[0]}\r\n"
        f"Content-Length: {len(second)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
        connection.sendall((first + second).encode())
        received = b""
        while piece := connection.recv(65536):
            received += piece
    assert received.count(b"HTTP/1.1 200") == 1
    assert b"Grid" not in received


def test_what_is_not_http_is_refused(server: ViewServer) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\r\n\r\n")
        assert b"photos" not in connection.recv(1000)


def test_the_browsers_address_works_once(server: ViewServer) -> None:
    path = "/" + server.address_for_once().rsplit("/", 1)[1]
    status, headers, _ = ask(server, path)
    assert (status, headers["Location"]) == (303, f"/{server.token}/")
    assert ask(server, path)[0] == 403


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
