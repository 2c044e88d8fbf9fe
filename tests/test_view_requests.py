"""What the server of ``rsparse view`` refuses over real HTTP, and what its page may load."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from rsparse.options.view import ViewParameters
from rsparse.viewer.server import ViewServer
from tests.versions import (
    NAMES,
    ask,
    folders,
    get,
    get_json,
    server,
    serving,
    write_all,
    write_photos,
    write_version,
)

__all__ = ["folders", "server"]  # the fixtures


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
