"""Dictionaries by name: the embedded one, the catalogue, and fetching from a local server."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

from rsparse import load_dictionary, purify
from rsparse.data import embedded_dictionary
from rsparse.store import published as module
from rsparse.store.images import decode_image
from rsparse.store.published import PublishedDictionary, file_of, published
from tests.conftest import REPOSITORY, make_picture

EMBEDDED = embedded_dictionary().stem
OTHER = "other-4x4-64"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def place(tmp_path: Path, dict_file: Path) -> Path:
    """A folder with the file of a published dictionary."""
    folder = tmp_path / "place"
    folder.mkdir()
    (folder / f"{OTHER}.h5").write_bytes(dict_file.read_bytes())
    return folder


@pytest.fixture
def cache(tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a catalogue that also has a small dictionary."""
    content = (place / f"{OTHER}.h5").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    entry = {"sha256": digest, "bytes": len(content), "patch_size": 4, "n_atoms": 64}
    entry |= {"color": True, "error": {"1": 0.5, "2": 0.25}}
    real = module._catalogue()
    monkeypatch.setattr(module, "_catalogue", lambda: {**real, OTHER: entry})
    monkeypatch.setenv("RSPARSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RSPARSE_DICTIONARIES", raising=False)
    return tmp_path / "cache" / "dictionaries"


@pytest.fixture
def url(place: Path) -> Iterator[str]:
    """A local server of that folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(place)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


class TestEmbedded:
    def test_is_the_file_of_the_catalogue(self) -> None:
        dictionary = published()[EMBEDDED]
        content = embedded_dictionary().read_bytes()
        assert next(iter(published())) == EMBEDDED
        assert len(content) == dictionary.bytes <= 400_000
        assert hashlib.sha256(content).hexdigest() == dictionary.sha256
        loaded, record = load_dictionary(EMBEDDED)
        assert loaded.atoms.shape == (dictionary.n_atoms, dictionary.patch_size**2 * 3)
        assert record["stage"] == "learn-dict"

    def test_every_name_says_what_the_dictionary_is(self) -> None:
        for name, dictionary in published().items():
            side = dictionary.patch_size
            grey = "" if dictionary.color else "-grey"
            assert name == f"photos-{side}x{side}-{dictionary.n_atoms}{grey}"

    def test_codes_photographs_that_it_was_not_learned_from(self) -> None:
        from rsparse.options.purify import PurifyParameters

        dictionary = load_dictionary(EMBEDDED)[0]
        rng = np.random.default_rng(0)
        noise = rng.standard_normal(dictionary.atoms.shape).astype(np.float32)
        random = type(dictionary)(noise / np.linalg.norm(noise, axis=1, keepdims=True), 8)
        picture = make_picture(3, 64, 64)
        settings = PurifyParameters(sparsity=4, localize=False)

        def error(chosen: Any) -> float:
            return float(
                np.square(purify(picture, chosen, settings).astype(float) - picture).mean()
            )

        assert error(dictionary) < 0.5 * error(random)

    def test_is_used_without_a_dictionary(
        self, pictures: Path, tmp_path: Path, run_cli: Callable[..., Result]
    ) -> None:
        without = run_cli("purify", pictures, "-o", tmp_path / "a")
        assert without.exit_code == 0, without.stderr
        assert f"used the dictionary {EMBEDDED}, which comes with rsparse" in without.stderr
        by_name = run_cli("purify", pictures, "-o", tmp_path / "b", "--dict", EMBEDDED)
        assert by_name.exit_code == 0
        assert "which comes with rsparse" not in by_name.stderr
        manifests = [(tmp_path / folder / "manifest.json").read_bytes() for folder in "ab"]
        assert manifests[0] == manifests[1]
        pixels = _read(pictures / "a.png")
        written = _read(tmp_path / "a" / "a.png")
        np.testing.assert_array_equal(purify(pixels), written)

    def test_is_not_mentioned_where_no_dictionary_is_needed(
        self, pictures: Path, tmp_path: Path, run_cli: Callable[..., Result]
    ) -> None:
        result = run_cli("purify", pictures, "-o", tmp_path / "a", "--defense", "jpeg")
        assert "which comes with rsparse" not in result.stderr
        assert "photos-" not in (tmp_path / "a" / "manifest.json").read_text()


class TestList:
    def test_table_and_json(self, cache: Path, run_cli: Callable[..., Result]) -> None:
        table = run_cli("dictionaries", "list").stdout
        assert f"{EMBEDDED}" in table
        assert "built in" in table
        listed = json.loads(run_cli("dictionaries", "list", "--json").stdout)
        assert [one["name"] for one in listed] == list(published())
        assert [one["here"] for one in listed] == [True] + [False] * (len(listed) - 1)


class TestFetch:
    def fetched(self, run_cli: Callable[..., Result], place: object) -> Result:
        return run_cli("dictionaries", "fetch", OTHER, "--from", place)

    def test_by_http_once(
        self, cache: Path, place: Path, url: str, run_cli: Callable[..., Result], pictures: Path
    ) -> None:
        first = self.fetched(run_cli, url)
        assert (first.exit_code, first.stdout) == (0, f"{cache / OTHER}.h5\n")
        assert (cache / f"{OTHER}.h5").read_bytes() == (place / f"{OTHER}.h5").read_bytes()
        (place / f"{OTHER}.h5").unlink()
        again = self.fetched(run_cli, url)  # from the cache
        assert again.exit_code == 0
        assert "was here: fetched" in again.stderr
        used = run_cli("purify", pictures, "--dict", OTHER, "--sparsity", 1, "-o", cache / "out")
        assert used.exit_code == 0, used.stderr

    def test_from_a_folder(self, cache: Path, place: Path, run_cli: Callable[..., Result]) -> None:
        assert self.fetched(run_cli, place).exit_code == 0
        assert file_of(Path(OTHER)) == cache / f"{OTHER}.h5"

    def test_the_environment_names_the_place(
        self, cache: Path, url: str, run_cli: Callable[..., Result], monkeypatch: Any
    ) -> None:
        monkeypatch.setenv("RSPARSE_DICTIONARIES", url + "/")
        assert run_cli("dictionaries", "fetch", OTHER).exit_code == 0

    def test_another_file_is_refused(
        self, cache: Path, place: Path, url: str, run_cli: Callable[..., Result]
    ) -> None:
        content = bytearray((place / f"{OTHER}.h5").read_bytes())
        content[-1] ^= 1
        for changed in (bytes(content), bytes(content[:-9]), bytes(content) + b"\0" * 9):
            (place / f"{OTHER}.h5").write_bytes(changed)
            result = self.fetched(run_cli, url)
            assert result.exit_code == 2
            assert result.stderr == (
                f"rsparse: error: {url}: {OTHER}.h5 is not the file of the catalogue: its SHA-256 "
                "differs; fetch it again, or from another address\n"
            )
            assert not cache.exists()

    def test_what_is_missing_is_named(
        self, cache: Path, url: str, place: Path, assert_error: Callable[..., None]
    ) -> None:
        (place / f"{OTHER}.h5").unlink()
        command = ("dictionaries", "fetch", OTHER)
        file = f"{url}/{OTHER}.h5"
        assert_error(f"{file}: cannot be fetched: the server answers 404", *command, "--from", url)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            closed = f"http://127.0.0.1:{free.getsockname()[1]}"
        line = f"{closed}/{OTHER}.h5: cannot be fetched: connection refused"
        assert_error(line, *command, "--from", closed)
        line = f"{OTHER}: no address to fetch it from is known; give --from URL, or a folder that "
        assert_error(line + "scripts/dictionaries.py has made", *command)
        line = "ftp://x: expected an address that begins with https://, or a folder"
        assert_error(line, *command, "--from", "ftp://x")
        line = "file:///etc: expected an address that begins with https://, or a folder"
        assert_error(line, *command, "--from", "file:///etc")

    def test_an_unknown_name(self, cache: Path, assert_error: Callable[..., None]) -> None:
        known = ", ".join(published())
        line = f"unknown dictionary 'other-4x4'; did you mean {OTHER}? Known: {known}"
        assert_error(line, "dictionaries", "fetch", "other-4x4")


class TestNames:
    def test_not_fetched_yet(
        self, cache: Path, pictures: Path, assert_error: Callable[..., None]
    ) -> None:
        line = f"{OTHER}: has not been fetched yet; run: rsparse dictionaries fetch {OTHER}"
        assert_error(line, "purify", pictures, "--dict", OTHER)

    def test_a_damaged_cache(
        self, cache: Path, place: Path, pictures: Path, run_cli: Callable[..., Result],
        assert_error: Callable[..., None],
    ) -> None:  # fmt: skip
        run_cli("dictionaries", "fetch", OTHER, "--from", place)
        (cache / f"{OTHER}.h5").write_bytes(b"damaged")
        line = f"{cache / OTHER}.h5: is damaged; run: rsparse dictionaries fetch {OTHER}"
        assert_error(line, "purify", pictures, "--dict", OTHER)
        run_cli("dictionaries", "fetch", OTHER, "--from", place)
        assert file_of(Path(OTHER)).read_bytes() == (place / f"{OTHER}.h5").read_bytes()

    def test_a_file_of_that_name_comes_first(
        self, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / OTHER).write_bytes(b"")
        assert file_of(Path(OTHER)) == Path(OTHER)
        assert file_of(Path(EMBEDDED), tmp_path / "plans") == embedded_dictionary()


def test_the_published_files_are_those_of_the_catalogue() -> None:
    folder = REPOSITORY / "dictionaries"
    for name, dictionary in published().items():
        if not dictionary.is_embedded:
            file = folder / f"{name}.h5"
            assert hashlib.sha256(file.read_bytes()).hexdigest() == dictionary.sha256
            assert load_dictionary(file)[0].color == dictionary.color


def _read(file: Path) -> Any:
    return decode_image(file.read_bytes(), file)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RSPARSE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dictionary = PublishedDictionary("x", "", 0, 8, 1, True, {})
    assert dictionary.file == tmp_path / "rsparse" / "dictionaries" / "x.h5"
