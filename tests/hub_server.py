"""A local server that answers like the Hugging Face hub and can simulate its failures."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

COMMIT = "0" * 39 + "1"
MODEL = "test_resnet.r160_in1k"
REPO = f"timm/{MODEL}"


class HubServer(ThreadingHTTPServer):
    """Serves files as ``/<repository>/resolve/main/model.safetensors``.

    That of a repository in ``others`` is its value there, that of any other one is ``content``.

    Like the hub, it answers the first request with the file's SHA-256 and size and redirects to
    another host for the content.

    Attributes
    ----------
    content : bytes
        The file; its SHA-256 is announced.
    sent : bytes or None
        The bytes to send instead of ``content``.
    status : int
        The status of the first response: 302 on success.
    error : str
        The hub's error code, such as ``EntryNotFound``.
    cuts : int
        How many times the connection breaks halfway through.
    pause : float
        Seconds between the two halves of the content.
    closes : bool
        Whether the server shuts down after the first half.
    digest : str or None
        The SHA-256 to announce instead of the correct one.
    others : dict of str to bytes
        The files of some repositories, by name.
    downloads : int
        How often the content was requested.
    """

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.sent: bytes | None = None
        self.status = 302
        self.error = ""
        self.cuts = 0
        self.pause = 0.0
        self.closes = False
        self.digest: str | None = None
        self.others: dict[str, bytes] = {}
        self.downloads = 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def content_of(self, path: str) -> bytes:
        """The file of the repository in a request's path."""
        named = (content for name, content in self.others.items() if f"/{name}/" in path)
        return next(named, self.content)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect."""


class _Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        server = self.server
        if server.status != 302:
            self._answer(server.status, {"X-Error-Code": server.error} if server.error else {})
            return
        content = server.content_of(self.path)
        self._answer(302, {
            "Location": f"http://localhost:{server.server_address[1]}/content{self.path}",
            "X-Repo-Commit": COMMIT,
            "X-Linked-Etag": f'"{server.digest or hashlib.sha256(content).hexdigest()}"',
            "X-Linked-Size": str(len(content)),
        })  # fmt: skip

    def do_GET(self) -> None:
        if not self.path.startswith("/content"):
            self.do_HEAD()
            return
        server = self.server
        server.downloads += 1
        content = server.content_of(self.path) if server.sent is None else server.sent
        start = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        half = start + (len(content) - start) // 2
        self.wfile.write(content[start:half])
        if server.closes:
            server.socket.close()
        if server.closes or server.cuts > 0:
            server.cuts -= 1
            self.close_connection = True
            return
        time.sleep(server.pause)
        self.wfile.write(content[half:])

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(key, value)
        self.end_headers()


@contextmanager
def serving(content: bytes) -> Iterator[HubServer]:
    """Run a hub for the duration of the block."""
    server = HubServer(content)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def weights(timm: Any) -> bytes:
    """The safetensors file of a network with random weights, seed 7."""
    from safetensors.torch import save

    from rsparse.models.zoo.networks import build_network, find_model

    return save(build_network(find_model(MODEL), None, seed=7).state_dict())


@pytest.fixture
def hub(
    timm: Any, weights: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HubServer]:
    """A local hub, and an empty cache in ``cache``."""
    from huggingface_hub import constants

    with serving(weights) as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield server
