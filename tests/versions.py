"""Folders of versions of the same images, with manifests as the commands write them."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rsparse.commands.view import serve_artifacts
from rsparse.options.view import ViewParameters
from rsparse.store.files import sha256_of, sha256_of_file
from rsparse.store.images import encode_png
from rsparse.store.lines import to_line
from rsparse.store.manifests import write_manifest
from rsparse.store.records import IMAGES, Record, Source
from rsparse.viewer.server import ViewServer
from tests.conftest import make_picture

NAMES = ("cat/01", "cat/02", "dog/01", "dog/02")
RIGHT, WRONG = 0, 1
HOSTILE = "<img src=x onerror=alert(1)>"


def write_photos(folder: Path, names: Sequence[str] = NAMES, side: int = 40) -> Path:
    """Benign photographs without a manifest."""
    for seed, name in enumerate(names):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(make_picture(seed, side, side)))
    return folder


def write_version(
    folder: Path, stage: str, sources: Path, entries: Mapping[str, Mapping[str, Any]], shift: int
) -> Path:
    """A version of the images in ``sources``, brighter by ``shift``, with a manifest."""
    from rsparse.store.images import decode_image

    lines = []
    for name, entry in sorted(entries.items()):
        source = sources / f"{name}.png"
        pixels = decode_image(source.read_bytes(), source)
        content = encode_png(np.clip(pixels.astype(int) + shift, 0, 255).astype(np.uint8))
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        digests = {"sha256": sha256_of(content), "source_sha256": sha256_of_file(source)}
        lines.append({"name": name, "file": f"{name}.png", **digests, **entry})
    source_record = Source(sources.name, "ab" * 32)
    record = Record(IMAGES, stage, {"eps": 4, "note": "<b>bold</b>"}, 0, (source_record,))
    write_manifest(folder / "manifest.json", record, [], [to_line(line)[:-1] for line in lines])
    return folder


def attacked_entry(prediction: int) -> dict[str, Any]:
    return {"label": RIGHT, "prediction_before": RIGHT, "prediction": prediction}


def cleaned_entry(psnr: float | None) -> dict[str, Any]:
    done = {"done": "rule 2: jpeg:quality=75", "noise": 1.25, "unchanged": psnr is None}
    return {**done, "psnr": psnr, "linf": 0 if psnr is None else 9}


def write_all(folder: Path, names: Sequence[str] = NAMES) -> list[Path]:
    """Photographs, attacked ones (all but the first are lost), and purified ones."""
    photos = write_photos(folder / "photos", names)
    predictions = {name: WRONG if number else RIGHT for number, name in enumerate(names)}
    attacked = {name: attacked_entry(index) for name, index in predictions.items()}
    adv = write_version(folder / "adv", "attack", photos, attacked, 4)
    changes = dict(zip(names, (29.9, None), strict=False))  # strongly, not at all; others lightly
    cleaned = {name: cleaned_entry(changes.get(name, 30.0)) for name in names}
    return [photos, adv, write_version(folder / "purified", "purify", adv, cleaned, -2)]


@contextmanager
def serving(
    paths: Sequence[Path],
    parameters: ViewParameters = ViewParameters(),
    dictionaries: Mapping[str, Path] | None = None,
) -> Iterator[ViewServer]:
    """Serve artifacts while the block runs."""
    with serve_artifacts(paths, parameters, dictionaries) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that ought to refuse its input ends the test instead of waiting for requests."""

    def fail(self: ViewServer) -> None:
        raise AssertionError("the page was served")

    monkeypatch.setattr(ViewServer, "serve_forever", fail)


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


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_all(tmp_path_factory.mktemp("view"), (*NAMES, HOSTILE))


@pytest.fixture(scope="module")
def server(folders: list[Path]) -> Iterator[ViewServer]:
    with serving(folders) as running:
        yield running
