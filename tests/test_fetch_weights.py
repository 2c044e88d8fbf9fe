"""Weights from a local hub: downloaded once and verified, and possible failures."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest
from typer.testing import Result

from tests.conftest import REPOSITORY
from tests.hub_server import COMMIT, MODEL, REPO, HubServer, hub, weights

__all__ = ["hub", "weights"]  # the fixtures

pytestmark = pytest.mark.usefixtures("timm")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out" / "m.onnx"


def cached_file(tmp_path: Path) -> Path:
    snapshot = tmp_path / "cache" / f"models--timm--{MODEL}" / "snapshots" / COMMIT
    return snapshot / "model.safetensors"


def nothing_left(tmp_path: Path) -> bool:
    """Whether there is no output folder and no complete file in the cache."""
    blobs = tmp_path.glob("cache/*/blobs/*")
    return not (tmp_path / "out").exists() and not list(blobs)


@pytest.fixture
def refused(assert_error: Callable[..., None], hub: HubServer, output: Path) -> Callable[..., None]:
    """Check that fetching fails with this reason for the requested file."""

    def check(reason: str) -> None:
        line = f"{hub.url}/{REPO}: model.safetensors: {reason}"
        assert_error(line, "fetch", MODEL, "-o", output)

    return check


def test_the_weights_arrive_in_the_file(
    hub: HubServer, output: Path, run_cli: Callable[..., Result], tmp_path: Path
) -> None:
    """The graph is the same as with random weights; the weights come from the hub."""
    result = run_cli("fetch", MODEL, "-o", output)
    assert (result.exit_code, result.stdout) == (0, f"{output}\n")
    lines = [" ".join(line.split()) for line in result.stderr.splitlines()]
    assert lines[2] == f"weights {REPO}, downloaded"
    digest = hashlib.sha256(hub.content).hexdigest()
    assert lines[3:5] == [f"SHA-256 {digest[:16]}…, as the hub gives it", "licence apache-2.0"]
    same = tmp_path / "same.onnx"
    run_cli("fetch", MODEL, "--no-pretrained", "--seed", 7, "-o", same)
    assert onnx.load(output).graph == onnx.load(same).graph
    origin = next(e.value for e in onnx.load(output).metadata_props if e.key == "rsparse.origin")
    assert f'"name": "{REPO}/model.safetensors"' in origin
    assert f'"sha256": "{digest}", "license": "apache-2.0"' in origin


def test_a_second_time_from_the_cache(
    hub: HubServer, output: Path, run_cli: Callable[..., Result], tmp_path: Path
) -> None:
    run_cli("fetch", MODEL, "-o", output)
    hub.status = 500
    result = run_cli("fetch", MODEL, "-o", tmp_path / "again.onnx")
    assert result.exit_code == 0
    assert f"{REPO}, from the cache" in " ".join(result.stderr.split())
    assert hub.downloads == 1
    assert (tmp_path / "again.onnx").read_bytes() == output.read_bytes()


def test_a_damaged_cache_is_mended(
    hub: HubServer, weights: bytes, output: Path, run_cli: Callable[..., Result], tmp_path: Path
) -> None:
    run_cli("fetch", MODEL, "-o", output)
    cached_file(tmp_path).write_bytes(weights[:-1] + b"\0")
    result = run_cli("fetch", MODEL, "-o", tmp_path / "again.onnx")
    assert result.exit_code == 0, result.stderr
    assert hub.downloads == 2
    assert (tmp_path / "again.onnx").read_bytes() == output.read_bytes()


def test_a_cache_without_links(
    hub: HubServer, weights: bytes, output: Path, run_cli: Callable[..., Result], tmp_path: Path
) -> None:
    """If the name of the cached file is not its SHA-256, the hub is asked for the hash."""
    run_cli("fetch", MODEL, "-o", output)
    cached = cached_file(tmp_path)
    cached.unlink()
    cached.write_bytes(weights)
    run_cli("fetch", MODEL, "-o", tmp_path / "again.onnx")
    assert hub.downloads == 1
    cached.write_bytes(weights[:-1] + b"\0")
    run_cli("fetch", MODEL, "-o", output, "--overwrite")
    assert hub.downloads == 2
    assert (tmp_path / "again.onnx").read_bytes() == output.read_bytes()


def test_damaged_on_the_way(
    hub: HubServer, weights: bytes, refused: Callable[..., None], tmp_path: Path
) -> None:
    hub.sent = weights[:-1] + bytes([weights[-1] ^ 1])
    refused(
        "arrived damaged: its SHA-256 differs from the one that the hub states; "
        "run the same command again"
    )
    assert nothing_left(tmp_path)


def test_cut_off(
    hub: HubServer, weights: bytes, refused: Callable[..., None], tmp_path: Path
) -> None:
    hub.sent = weights[:1000]
    size = f"should be of size {len(weights)} but has size 1000"
    with pytest.raises(AssertionError, match=size):
        refused("")
    assert nothing_left(tmp_path)


def test_an_unchecked_file_is_refused(
    hub: HubServer, refused: Callable[..., None], tmp_path: Path
) -> None:
    hub.digest = "abc"
    refused("cannot be checked, since the hub does not state its SHA-256")
    assert hub.downloads == 0
    assert nothing_left(tmp_path)


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        (404, "EntryNotFound", "is not on the hub"),
        (404, "RepoNotFound", "is not on the hub"),
        (401, "RepoNotFound", "is not on the hub"),
        (403, "GatedRepo", "requires you to log in to the hub and accept its terms first"),
        (404, "", "the hub answered with status 404"),
        (503, "", "the hub answered with status 503; try again later"),
    ],
)
def test_refused_by_the_hub(
    hub: HubServer, refused: Callable[..., None], tmp_path: Path,
    status: int, error: str, reason: str,
) -> None:  # fmt: skip
    hub.status, hub.error = status, error
    refused(reason)
    assert nothing_left(tmp_path)


def test_no_connection(hub: HubServer, refused: Callable[..., None], tmp_path: Path) -> None:
    hub.shutdown()
    hub.server_close()
    refused(
        "cannot be downloaded; check the network connection "
        "(ConnectError: [Errno 111] Connection refused)"
    )
    assert nothing_left(tmp_path)


def test_offline(
    hub: HubServer, refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused("is not in the cache, and HF_HUB_OFFLINE forbids downloading it")
    assert hub.downloads == 0


@pytest.fixture
def small_disk(weights: bytes) -> Iterator[None]:
    """Limit files to half the size of the weights."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(weights) // 2, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_no_room_in_the_cache(
    run_cli: Callable[..., Result], hub: HubServer, small_disk: None, output: Path, tmp_path: Path
) -> None:
    result = run_cli("fetch", MODEL, "-o", output)
    assert result.stderr.splitlines() == [
        f"rsparse: error: {hub.url}/{REPO}: model.safetensors: cannot be stored in the cache: file "
        "too large; set HF_HOME to another folder; once this is fixed, run the same command again "
        "to continue"
    ]
    assert result.exit_code == 3
    assert nothing_left(tmp_path)


def test_no_room_for_the_output(
    run_cli: Callable[..., Result], small_disk: None, output: Path
) -> None:
    result = run_cli("fetch", MODEL, "--no-pretrained", "-o", output)
    assert result.stderr.splitlines() == [
        f"rsparse: error: {output}: cannot be written: file too large; once this is fixed, run "
        "the same command again to continue"
    ]
    assert result.exit_code == 3
    assert list(output.parent.iterdir()) == []


COMMAND = """
from tests.torchvision_operators import import_torchvision
import_torchvision()
from rsparse.cli import main
main()
"""


def real_process(hub: HubServer, tmp_path: Path, *arguments: object) -> subprocess.Popen[str]:
    """Start ``rsparse fetch`` in its own process, with the hub set in its environment."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(REPOSITORY),
    }
    command = [sys.executable, "-c", COMMAND, "fetch", MODEL, *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_a_real_process(hub: HubServer, output: Path, tmp_path: Path) -> None:
    """It prints only its summary, even where the libraries would print more."""
    process = real_process(hub, tmp_path, "-o", output)
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stdout) == (0, f"{output}\n")
    assert [line.split()[0] for line in stderr.splitlines()] == [
        "fetched", "model", "weights", "SHA-256", "licence", "input", "mean,", "classes",
        "parity", "time",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL], ids=repr)
def test_interrupted(
    hub: HubServer, output: Path, tmp_path: Path, signal_number: signal.Signals
) -> None:
    hub.pause = 60
    process = real_process(hub, tmp_path, "-o", output)
    while hub.downloads == 0:
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal_number)
    _, stderr = process.communicate(timeout=30)
    if signal_number == signal.SIGINT:
        assert process.returncode == 130
        assert stderr.splitlines() == [
            "rsparse: interrupted; run the same command again to continue"
        ]
    assert not output.parent.exists()
    hub.pause = 0
    again = real_process(hub, tmp_path, "-o", output)
    again.communicate(timeout=120)
    assert again.returncode == 0
    assert output.is_file()


@pytest.mark.slow
def test_a_broken_connection_is_taken_up_again(
    hub: HubServer, output: Path, run_cli: Callable[..., Result]
) -> None:
    hub.cuts = 1
    assert run_cli("fetch", MODEL, "-o", output).exit_code == 0
    assert hub.downloads == 2


@pytest.mark.slow
def test_the_hub_goes_away(hub: HubServer, refused: Callable[..., None], tmp_path: Path) -> None:
    """The hub goes away after the first half and does not come back."""
    hub.closes = True
    refused(
        "cannot be downloaded; check the network connection "
        "(ConnectError: [Errno 111] Connection refused)"
    )
    assert nothing_left(tmp_path)
