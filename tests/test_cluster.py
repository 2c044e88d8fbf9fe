"""``--cluster`` with a real scheduler and real workers, some of which are killed."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.dask_processes import DaskProcesses
from rsparse.store.folders import JOURNAL, MANIFEST, read_manifest
from rsparse.work.cluster import Cluster
from tests.conftest import tree_of
from tests.processes import SLOW, start, when_done
from tests.refusals import GOES_ON, fails, refused
from tests.worker_tasks import die, folder_and_threads, refuse_seven, square

pytest.importorskip("distributed")

LEARN = ("--n-atoms", 16, "--patch-size", 4, "--patches-per-image", 60)


def dask(folder: Path) -> Iterator[DaskProcesses]:
    """A scheduler and two workers."""
    processes = DaskProcesses(folder)
    try:
        for _ in range(2):
            processes.add_worker()
        yield processes
    finally:
        processes.close()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    """Processes that no test kills."""
    yield from dask(tmp_path_factory.mktemp("dask"))


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[DaskProcesses]:
    """Processes to kill."""
    (tmp_path / "dask").mkdir()
    yield from dask(tmp_path / "dask")


@pytest.fixture
def workers(lasting: DaskProcesses) -> Iterator[Cluster]:
    with Cluster(lasting.address) as cluster:
        yield cluster


def late_first(number: int) -> int:
    time.sleep(0.3 if number == 0 else 0)
    return number


def divide(number: int) -> float:
    return 1 / number


def test_results_come_in_order(workers):
    assert list(workers.map(late_first, iter(range(50)), 50)) == list(range(50))
    assert list(workers.map(square, [], 0)) == []


def test_errors_of_the_function_arrive(workers):
    with refused("seven: expected another number"):
        list(workers.map(refuse_seven, range(20), 20))
    with pytest.raises(ZeroDivisionError):
        list(workers.map(divide, [1, 0, 2], 3))


def test_a_long_run_is_drawn_as_results_are_taken_and_the_rest_can_be_dropped(workers):
    drawn = []

    def items():
        for number in range(1_000_000):
            drawn.append(number)
            yield number

    results = workers.map(square, items(), 1_000_000)
    assert next(results) == 0
    assert len(drawn) == workers.window() == 8
    assert next(results) == 1
    time.sleep(0.2)  # idle workers must not take more items
    assert len(drawn) == 9
    results.close()
    assert len(drawn) == 9


def test_workers_see_the_folder_of_the_command_and_one_thread(workers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert set(workers.map(folder_and_threads, range(6), 6)) == {(str(tmp_path), 1)}


def test_equal_bytes_on_a_cluster(run_cli, lasting, many, dict_file, tmp_path, monkeypatch):
    monkeypatch.chdir(many.parent)
    for name, where in (("one", ("--jobs", 1)), ("two", ("--cluster", lasting.file))):
        result = run_cli("purify", "imgs", "--dict", dict_file, "-o", tmp_path / name, *where)
        assert result.exit_code == 0, result.stderr
        run_cli("learn-dict", "imgs", *LEARN, "-o", tmp_path / f"{name}.h5", *where)
    assert tree_of(tmp_path / "one") == tree_of(tmp_path / "two")
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_bad_images_are_told_as_without_a_cluster(
    run_cli, lasting, pictures, dict_file, tmp_path, monkeypatch
):
    monkeypatch.chdir(pictures.parent)
    (pictures / "empty.png").write_bytes(b"")
    results = []
    for where in (("--jobs", 1), ("--cluster", lasting.address)):
        results.append(
            run_cli("purify", "imgs", "--dict", dict_file, "-o", "out", "--overwrite", *where)
        )
        assert read_manifest(Path("out"))["failed"] == [
            {"name": "empty", "error": "is an empty file"}
        ]
    assert [result.exit_code for result in results] == [1, 1]
    line = "rsparse: skipped: imgs/empty.png: is an empty file"
    assert [result.stderr.splitlines()[-1] for result in results] == [line, line]


@pytest.mark.slow
def test_a_killed_workers_images_are_done_by_another(run_cli, mortal, many, dict_file, tmp_path):
    arguments = ("purify", many, "--dict", dict_file, *SLOW, "-o")
    with start(*arguments, tmp_path / "out", "--cluster", mortal.address) as running:
        when_done(running, tmp_path / "out", 4, 0)
        mortal.workers[0].kill()
        (tmp_path / "out" / f".{'0' * 16}.1.tmp").touch()  # as if it were writing a file
        stdout, stderr = running.communicate(timeout=100)
    assert (running.returncode, stdout) == (0, f"{tmp_path / 'out'}\n"), stderr
    assert "Traceback" not in stderr
    names = [entry["name"] for entry in read_manifest(tmp_path / "out")["images"]]
    assert len(names) == len(set(names)) == 30
    run_cli(*arguments, tmp_path / "whole")
    assert tree_of(tmp_path / "out") == tree_of(tmp_path / "whole")


@pytest.fixture
def more(many: Path, tmp_path: Path) -> Path:
    """Enough pictures that some are still queued when the first results arrive."""
    folder = tmp_path / "imgs"
    shutil.copytree(many, folder)
    for copied, name in (("0", "3"), ("1", "4")):
        shutil.copytree(many / copied, folder / name)
    return folder


@pytest.mark.slow
def test_a_run_that_loses_its_scheduler_can_go_on_without(
    run_cli, mortal, more, dict_file, tmp_path
):
    arguments = ("purify", more, "--dict", dict_file, *SLOW)
    mortal.workers[0].kill()  # a single worker is slower: the run cannot end first
    with start(*arguments, "-o", tmp_path / "out", "--cluster", mortal.address) as running:
        when_done(running, tmp_path / "out", 4, 0)
        mortal.scheduler.kill()
        stdout, stderr = running.communicate(timeout=100)
    assert (running.returncode, stdout) == (3, "")
    assert stderr == (
        f"rsparse: error: {mortal.address}: the scheduler no longer answers; {GOES_ON}\n"
    )
    result = run_cli(*arguments, "-o", tmp_path / "out", "--json")
    assert json.loads(result.stdout)["resumed"] >= 4
    run_cli(*arguments, "-o", tmp_path / "whole")
    assert tree_of(tmp_path / "out") == tree_of(tmp_path / "whole")


@pytest.mark.parametrize(
    "local", [pytest.param(True, marks=pytest.mark.slow), False], ids=["local", "remote"]
)
def test_ctrl_c_says_one_line_and_the_run_can_go_on(
    run_cli, lasting, many, dict_file, tmp_path, local
):
    where = "local:2" if local else lasting.address
    arguments = ("purify", many, "--dict", dict_file, *SLOW, "-o", tmp_path / "out")
    with start(*arguments, "--cluster", where) as running:
        when_done(running, tmp_path / "out", 4, signal.SIGINT)
        stdout, stderr = running.communicate(timeout=60)
    assert (running.returncode, stdout) == (130, "")
    assert stderr == "rsparse: interrupted; run the same command again to continue\n"
    done = run_cli(*arguments, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["resumed"] >= 4


@pytest.mark.slow
def test_images_that_kill_their_workers_are_given_up():
    with Cluster("local:2") as cluster:
        with fails(
            "local:2: workers were killed repeatedly on the same images, "
            "possibly for lack of memory"
        ):
            list(cluster.map(die, range(2), 2))


@pytest.mark.slow
@pytest.mark.parametrize("command", ["localize", "attack", "classify", "activations", "attention"])
def test_every_folder_command_runs_on_a_cluster(run_cli, lasting, tmp_path, monkeypatch, command):
    from rsparse.data import demo_model, demo_photos

    (tmp_path / "imgs").mkdir()
    for path in sorted(demo_photos("test").rglob("*.png"))[::10]:
        (tmp_path / "imgs" / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    model = ("--model", os.path.relpath(demo_model()))
    attacking = ("--keep-float", "--batch-size", 2, "--predicted-labels")
    arguments = {
        "localize": ("imgs", "--overlay", "OUT-overlay"),
        "attack": ("imgs", *model, "-a", "cw-l2:d=0.1,steps=3", *attacking),
        "classify": ("imgs", *model),
        "activations": ("imgs", "imgs", *model),
        "attention": ("imgs", *model),
    }[command]
    suffix = {"classify": ".csv", "activations": ".h5"}.get(command, "")
    for name, where in (("one", ("--jobs", 1)), ("two", ("--cluster", lasting.address))):
        given = [str(argument).replace("OUT", f"{name}/of") for argument in arguments]
        Path(name).mkdir()
        result = run_cli(command, *given, "-o", f"{name}/out{suffix}", *where)
        assert result.exit_code == 0, result.stderr
    assert tree_of(Path("one")) == tree_of(Path("two"))
    assert len(tree_of(Path("one"))) >= 1


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux")
def test_a_worker_that_cannot_see_the_output(assert_error, lasting, many, dict_file, tmp_path):
    """The path uses a file descriptor that no other process has."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    os.dup2(descriptor, 250)
    output = Path("/proc/self/fd/250/out")
    try:
        assert_error(
            f"worker on {platform.node()}: cannot see {output / JOURNAL}; inputs and outputs must "
            "be in folders that all workers share under the same path",
            "purify", many, "--dict", dict_file, "-o", output, "--cluster", lasting.address,
        )  # fmt: skip
    finally:
        os.close(250)
        os.close(descriptor)
    assert not (tmp_path / "out" / MANIFEST).exists()
