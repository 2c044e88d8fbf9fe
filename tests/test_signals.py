"""SIGINT, SIGTERM and SIGHUP at any time: one line, all processes end, the run can resume."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, make_dict_file, tree_of
from tests.processes import SLOW, start, when_done

GOES_ON = "run the same command again to continue\n"
LINES = {
    signal.SIGINT: f"rsparse: interrupted; {GOES_ON}",
    signal.SIGTERM: f"rsparse: ended by SIGTERM; {GOES_ON}",
    signal.SIGHUP: f"rsparse: ended by SIGHUP; {GOES_ON}",
}
PROMPT = 3  # seconds until all processes have ended
SIGNALS = pytest.mark.parametrize("number", LINES, ids=lambda number: number.name)


def run_code(code: str, **options: object) -> subprocess.Popen[str]:
    """Start a Python program in its own process group."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, start_new_session=True, **pipes, **options
    )


def group_ends(group: int) -> bool:
    """Whether all processes of a group end promptly."""
    deadline = time.monotonic() + PROMPT
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def stopped(running: subprocess.Popen[str], number: int) -> tuple[int, str]:
    """Signal all processes of a program; return its exit code and standard error."""
    begin = time.monotonic()
    os.killpg(running.pid, number)
    stderr = running.communicate(timeout=60)[1]
    assert time.monotonic() - begin < PROMPT
    assert group_ends(running.pid)
    return running.returncode, stderr


@pytest.fixture(scope="module")
def few(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures."""
    return Path(shutil.copytree(many / "0", tmp_path_factory.mktemp("few") / "imgs"))


@pytest.fixture(scope="module")
def whole(few, small_dictionary, run_cli, tmp_path_factory) -> dict[str, bytes]:
    """What a run that is not interrupted writes."""
    folder = tmp_path_factory.mktemp("whole")
    path = make_dict_file(folder, small_dictionary)
    done = run_cli("purify", few, "--dict", path, *SLOW, "--jobs", 1, "-o", folder / "out")
    assert done.exit_code == 0, done.stderr
    return tree_of(folder / "out")


@pytest.mark.parametrize(
    ("jobs", "number"), [(1, signal.SIGTERM), (2, signal.SIGINT), (2, signal.SIGHUP)]
)
def test_a_signal_says_one_line_and_the_run_can_go_on(
    few, whole, dict_file, run_cli, tmp_path, jobs, number
):
    arguments = ("purify", few, "--dict", dict_file, *SLOW, "--jobs", jobs, "-o")
    with start(*arguments, tmp_path / "out") as running:
        when_done(running, tmp_path / "out", 2, 0)
        code, stderr = stopped(running, number)
    assert (code, stderr) == (128 + number, LINES[number])
    done = run_cli(*arguments, tmp_path / "out", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["resumed"] >= 2
    assert tree_of(tmp_path / "out") == whole


def has_taken_over(pid: int) -> bool:
    """Whether a process has a handler for SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux")
@pytest.mark.parametrize("delay", [0, 0.05, 0.15, 0.4])
@SIGNALS
def test_a_signal_while_the_program_starts(tmp_path, number, delay):
    """The signal handlers are installed before anything is imported."""
    with start("purify", tmp_path / "none", "-o", tmp_path / "out") as running:
        while not has_taken_over(running.pid):
            time.sleep(0.001)
        time.sleep(delay * random.uniform(0.8, 1.2))
        code, stderr = stopped(running, number) if running.poll() is None else (2, "")
    assert (code, stderr) == (128 + number, LINES[number]) or code == 2


IN_PROCESSES = """
import os, sys, time
from rsparse import signals
from rsparse.work.workers import LocalWorkers
from tests.worker_tasks import pid_after
if __name__ == "__main__":
    with LocalWorkers(2) as workers:
        results = workers.map(pid_after, [0, 0, 60, 60], 4, in_processes=True)
        print(next(results), next(results), flush=True)
        next(results)
"""


def test_a_killed_program_leaves_no_processes():
    """The processes notice that their connection is closed, even while they are busy."""
    with run_code(IN_PROCESSES) as running:
        pids = [int(pid) for pid in running.stdout.readline().split()]
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        assert group_ends(running.pid)
    assert running.pid not in pids


CLI = """
import hashlib, sys, time
from rsparse import signals
signals.take_over()
from rsparse.cli import app

def work():
    {work}

@app.command()
def wait():
    print("runs", flush=True)
    work()

module = sys.modules["rsparse.cli.app"]
module.COMMANDS["wait"] = "Wait."
module.Commands.make = lambda self, name: self.made[name]
sys.argv = ["rsparse", "wait"]
module.main()
"""
COMPUTES = 'hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)'  # releases the GIL
LOSES = """
    class Slow:
        def __del__(self):
            time.sleep(60)
    while True:
        Slow()
"""
STUBBORN = """
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
"""
WORK = {
    "computes": COMPUTES,
    "loses": LOSES,
    "stubborn": STUBBORN,
    "threads": """
    from rsparse.work.workers import LocalWorkers
    list(LocalWorkers(2).map(lambda _: time.sleep(60), range(9), 9))
""",
}


@pytest.mark.parametrize(
    ("work", "number"),
    [
        *(("threads", number) for number in LINES),
        ("loses", signal.SIGINT),
        pytest.param("computes", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("stubborn", signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_nothing_that_a_command_does_keeps_it_from_ending(work, number):
    with run_code(CLI.format(work=WORK[work])) as running:
        assert running.stdout.readline() == "runs\n"
        time.sleep(0.1)
        assert stopped(running, number) == (128 + number, LINES[number])


def test_a_second_signal_ends_the_program_at_once():
    with run_code(CLI.format(work=STUBBORN)) as running:
        assert running.stdout.readline() == "runs\n"
        os.kill(running.pid, signal.SIGTERM)
        time.sleep(0.2)
        begin = time.monotonic()
        os.kill(running.pid, signal.SIGINT)
        stderr = running.communicate(timeout=60)[1]
        assert time.monotonic() - begin < 0.5
    assert (running.returncode, stderr) == (128 + signal.SIGTERM, LINES[signal.SIGTERM])


def test_an_ignored_signal_stays_ignored():
    """This is the case with nohup, or if a shell starts the program in the background."""
    code = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{CLI}"
    with run_code(code.format(work="time.sleep(1)")) as running:
        assert running.stdout.readline() == "runs\n"
        os.kill(running.pid, signal.SIGHUP)
        assert running.communicate(timeout=60)[1] == ""
    assert running.returncode == 0
