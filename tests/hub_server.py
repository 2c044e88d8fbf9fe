"""A hub of weights on this machine: what the Hugging Face hub answers, and how it may fail."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0" * 39 + "1"


class HubServer(ThreadingHTTPServer):
    """Serves ``content`` as ``/<repository>/resolve/main/model.safetensors`` of any repository.

    Like the hub, it names the file's SHA-256 and size when it is asked where the file lies, and
    sends on to another host for the content.

    Attributes
    ----------
    content : bytes
        What the SHA-256 is told of.
    sent : bytes or None
        What is sent instead.
    status : int
        The answer to the first question: 302 where all is well.
    error : str
        What the hub calls that, as ``EntryNotFound``.
    cuts : int
        So many times the connection breaks in the middle.
    pause : float
        Seconds between the first half and the second.
    closes : bool
        Whether the server is gone after the first half.
    digest : str or None
        The SHA-256 that is told instead of the right one.
    downloads : int
        How often content was asked for.
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
        self.downloads = 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


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
        self._answer(302, {
            "Location": f"http://localhost:{server.server_address[1]}/content",
            "X-Repo-Commit": COMMIT,
            "X-Linked-Etag": f'"{server.digest or hashlib.sha256(server.content).hexdigest()}"',
            "X-Linked-Size": str(len(server.content)),
        })  # fmt: skip

    def do_GET(self) -> None:
        if self.path != "/content":
            self.do_HEAD()
            return
        server = self.server
        server.downloads += 1
        content = server.content if server.sent is None else server.sent
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
    """A hub that runs while the block does."""
    server = HubServer(content)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
