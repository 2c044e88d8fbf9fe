"""Serve the page to this machine only, and only to who knows its address.

The server listens on the loopback interface. Every path starts with a random token. The host must
be the loopback's, so that a page from elsewhere cannot reach this one by a name of its own that
leads here. There are no paths of files: an image is named by its number.
"""

from __future__ import annotations

import hmac
import secrets
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rsparse.errors import InputError, system_error
from rsparse.store.records import GENERATOR
from rsparse.viewer.page import POLICY
from rsparse.viewer.site import TEXT, Answer, Site

LOOPBACK = "127.0.0.1"
_HOSTS = (LOOPBACK, "localhost")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_QUIET = 60  # seconds after which an idle connection is closed


class ViewServer(ThreadingHTTPServer):
    """The server of a page.

    Parameters
    ----------
    site : Site
    port : int
        0 takes a free one.

    Attributes
    ----------
    address : str
        Where the page is.

    Raises
    ------
    InputError
        If the port is in use or may not be used.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, site: Site, port: int = 0) -> None:
        self.site = site
        self.token = secrets.token_urlsafe(32)
        self._keys: set[str] = set()
        self._lock = threading.Lock()
        try:
            super().__init__((LOOPBACK, port), _Request)
        except OSError as error:
            raise _refusal(error, port) from error
        self.hosts = [f"{host}:{self.server_port}" for host in _HOSTS]
        self.address = f"http://{self.hosts[0]}/{self.token}/"

    def address_for_once(self) -> str:
        """An address that leads to the page once.

        Other users of this machine may see the command line of a browser, but not use it again.
        """
        key = secrets.token_urlsafe(32)
        with self._lock:
            self._keys.add(key)
        return f"http://{self.hosts[0]}/{key}"

    def takes(self, key: str) -> bool:
        """Whether a key opens the page; it does so once."""
        with self._lock:
            if key not in self._keys:
                return False
            self._keys.remove(key)
            return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print an error, but say nothing of connections that the browser has closed."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def _refusal(error: OSError, port: int) -> Exception:
    refused = system_error(error, f"port {port}: cannot be used")
    return InputError(f"{refused}; choose another --port") if port else refused


class _Request(BaseHTTPRequestHandler):
    """One connection of a browser."""

    server: ViewServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = GENERATOR.replace(" ", "/"), ""
    timeout = _QUIET

    def do_GET(self) -> None:
        """Answer a request for a page."""
        path, _, query = self.path.partition("?")
        token, _, page = path.removeprefix("/").partition("/")
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0] not in self.server.hosts:
            self._refuse(403, "The host is not that of this page.")
        elif path.startswith("/") and self.server.takes(path[1:]):
            self._send(Answer(303, TEXT, b""), {"Location": f"/{self.server.token}/"})
        elif not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(403, "The address is not that of this page; the terminal shows it.")
        else:
            self._send(self._answer(page, query))

    def _answer(self, page: str, query: str) -> Answer:
        """Answer with an error if the page has one, which the terminal tells."""
        try:
            return self.server.site.answer(page, query)
        except Exception:
            self.server.handle_error(self.request, self.client_address)
            return Answer(500, TEXT, b"The page has an error; the terminal shows it.\n")

    def __getattr__(self, name: str) -> Callable[[], None]:
        if not name.startswith("do_"):
            raise AttributeError(name)
        return lambda: self._refuse(405, "Only GET is answered.", {"Allow": "GET"})

    def send_error(self, code: int, message: str | None = None, *_: Any) -> None:
        """Answer a request that is not HTTP."""
        self._refuse(code, message or "The request cannot be read.")

    def _refuse(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        self.close_connection = True
        headers = {"Connection": "close", **(headers or {})}
        self._send(Answer(status, TEXT, f"{text}\n".encode()), headers)

    def _send(self, answer: Answer, headers: dict[str, str] | None = None) -> None:
        asked: Any = getattr(self, "headers", None) or {}
        if "Content-Length" in asked or "Transfer-Encoding" in asked:
            self.close_connection = True  # what follows is not read, so it is no request
        self.send_response(answer.status)
        charset = "" if answer.kind.startswith("image/") else "; charset=utf-8"
        self.send_header("Content-Type", answer.kind + charset)
        self.send_header("Content-Length", str(len(answer.content)))
        for name, value in {**_HEADERS, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
