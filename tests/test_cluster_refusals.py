"""What ``--cluster`` rejects: bad addresses, mismatched workers, an unreachable scheduler."""

from __future__ import annotations

import pickle
import platform
from pathlib import Path

import pytest

from rsparse.errors import InputError
from rsparse.work.cluster import Cluster
from rsparse.work.remote import Refusal, RunContext, work
from tests.refusals import refused
from tests.worker_tasks import square

pytest.importorskip("distributed")


def test_a_worker_of_another_version():
    line = f"worker on {platform.node()}: expected rsparse 9.9, got "
    run = RunContext(Path.cwd(), (), "9.9")
    refusal = work(*map(pickle.dumps, (2, square, run)))
    assert isinstance(refusal, Refusal)
    assert refusal.message.startswith(line)
    assert refusal.message.endswith("; install the same version on all machines")


def test_a_worker_without_the_compiled_loops_of_the_others():
    import rsparse.work.remote as remote

    run = RunContext(Path.cwd(), (), is_compiled=not remote._IS_COMPILED)
    refusal = work(*map(pickle.dumps, (2, square, run)))
    assert isinstance(refusal, Refusal)
    assert refusal.message.startswith(f"worker on {platform.node()}: numba is ")
    assert refusal.message.endswith("; install the extra 'fast' on all machines or on none")


def test_a_worker_of_several_threads():
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp", dashboard_address=":0"
    ) as threads:
        with pytest.raises(InputError, match=r"has 2 threads; start workers with one thread each"):
            Cluster(threads.scheduler_address).__enter__()


@pytest.mark.parametrize("text", ["", "host", "local:0", "local:two", "tcp://:1", "a b:1"])
def test_no_address(assert_error, pictures, dict_file, tmp_path, text):
    assert_error(
        "--cluster: expected an address such as tcp://host:8786, a scheduler file (.json) "
        f"or local:N, got {text!r}",
        "purify", pictures, "--dict", dict_file, "-o", tmp_path / "out", "--cluster", text,
    )  # fmt: skip


def test_a_file_that_is_no_scheduler_file(tmp_path):
    file = tmp_path / "scheduler.json"
    with refused(f"{file}: cannot be read: no such file or directory"):
        Cluster(str(file))
    file.write_text("[]")
    with refused(f"{file}: is not a Dask scheduler file"):
        Cluster(str(file))


def test_no_scheduler_answers():
    line = (
        "no Dask scheduler answers within 0.5 s; "
        "check the address and whether the scheduler is running"
    )
    with refused(f"tcp://127.0.0.1:1: {line}"):
        Cluster("tcp://127.0.0.1:1", timeout=0.5).__enter__()


def test_jobs_and_a_cluster(assert_error, pictures, dict_file, tmp_path):
    assert_error(
        "--jobs and --cluster cannot be used together; give one of them",
        "purify", pictures, "--dict", dict_file, "-o", tmp_path / "out",
        "--jobs", 2, "--cluster", "local:2",
    )  # fmt: skip
