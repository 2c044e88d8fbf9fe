"""Of two runs that write the same output, one is refused, whatever the command and the output."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rsparse.errors import InputError
from rsparse.store.folders import OutputFolder
from rsparse.store.journal import IN_ONE_GO, Journal, journal_beside
from rsparse.store.outputs import AtomicFolder
from rsparse.store.pending import journal_of
from rsparse.store.records import IMAGES, Record
from rsparse.store.sole_writer import sole_writer
from rsparse.store.together import appear_together
from tests.colour_evaluations import DICT
from tests.colours import MODEL
from tests.conftest import REPOSITORY, tree_of
from tests.disks import read_only_disk
from tests.evaluations import FEW, make_eval_folder, make_evaluation
from tests.onnx_models import ConvNet
from tests.processes import start
from tests.refusals import GOES_ON

COLOURS = REPOSITORY / "fixtures" / "colours.onnx"
UNIT = {"rsparse.input": '{"mean": [0, 0, 0], "std": [1, 1, 1]}'}
LEARN = ("--patch-size", 4, "--n-atoms", 16, "--patches-per-image", 60, "-j", 1)

Run = tuple[object, ...]


@pytest.fixture
def runs(tmp_path: Path, pictures: Path) -> Callable[[str, Path], tuple[Run, Path]]:
    """The arguments of a command that writes to a folder, and the output that it shares.

    What a command writes besides is named by ``own``, so that two runs share one output only.
    """

    def arguments(kind: str, folder: Path, own: str = "own") -> tuple[Run, Path]:
        if kind == "report":
            evaluated = tmp_path / "eval"
            if not evaluated.exists():
                evaluation = make_evaluation(3, defenses=FEW, transfer=False)
                make_eval_folder(evaluated, evaluation, [DICT, MODEL])
            output, form = folder / "report", "md" if own == "other" else "html"
            return ("report", evaluated, "-o", output, "--format", form), output
        if kind == "tag":
            model, output = ConvNet().save(tmp_path / "plain.onnx"), folder / "tagged.onnx"
            preset = "mobilenet-v2" if own == "other" else "unit"
            return ("model", "tag", model, "--preset", preset, "-o", output), output
        if kind == "plot":
            model, output = ConvNet(metadata=UNIT).save(tmp_path / "m.onnx"), folder / "act.png"
            command = ("activations", pictures, pictures, "-m", model, "-j", "1")
            return (*command, "-o", tmp_path / f"{own}.h5", "--plot", output), output
        if kind == "preview":
            output = folder / "dict.png"
            command = ("learn-dict", pictures, *LEARN)
            return (*command, "-o", tmp_path / f"{own}-dict.h5", "--preview", output), output
        if kind == "learn":
            output = folder / "dict.h5"
            return ("learn-dict", pictures, *LEARN, "-o", output), output
        assert kind == "classify"
        output = folder / "pred.csv"
        return ("classify", pictures, "-m", COLOURS, "-j", "1", "-o", output), output

    return arguments


KINDS = ("report", "tag", "plot", "preview", "learn", "classify")


@pytest.mark.parametrize("kind", KINDS)
def test_an_output_that_is_being_written_is_refused(kind, runs, tmp_path, run_cli, assert_error):
    arguments, output = runs(kind, tmp_path)
    before = tree_of(tmp_path)
    with journal_beside(output, IN_ONE_GO, False):
        assert_error(f"{output}: is being written by another run", *arguments)
        assert set(tree_of(tmp_path)) == {*before, journal_of(output).name}
    assert tree_of(tmp_path) == before
    result = run_cli(*arguments)
    assert result.exit_code == 0, result.stderr
    written = tree_of(tmp_path)
    assert not [name for name in written if name.startswith(".")]
    other, _ = runs(kind, tmp_path, "other")
    assert_error(f"{output}: exists; choose another output or pass --overwrite", *other)
    assert tree_of(tmp_path) == written


@pytest.mark.parametrize("kind", ["report", "tag", "plot"])
def test_of_two_processes_at_once_one_succeeds(kind, runs, tmp_path):
    both = [runs(kind, tmp_path, own) for own in ("own", "other")]
    output = both[0][1]
    running = [start(*arguments) for arguments, _ in both]
    ended = [(*one.communicate(timeout=200), one.returncode) for one in running]
    assert sorted(code for *_, code in ended) == [0, 2], ended
    for stdout, stderr, code in ended:
        if code == 0:
            assert Path(stdout.strip()).exists()
            assert output.exists()
        else:
            reasons = ("is being written by another run", "exists; choose another output")
            assert stdout == ""
            assert any(reason in stderr for reason in reasons), stderr
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def write_file(folder: Path, content: str) -> None:
    path = folder / "a.png"
    with journal_beside(path, IN_ONE_GO, False) as journal:
        with appear_together(path, journal) as members:
            members.write(path, content.encode())


def write_plot(folder: Path, content: str) -> None:
    main, plot = folder / f"{content}.h5", folder / "plot.png"
    run = {"stage": content}
    with journal_beside(main, run, False, [plot]) as journal:
        with appear_together(main, journal) as members:
            members.write(main, b"")
            members.write(plot, content.encode())


def write_page(folder: Path, content: str) -> None:
    with AtomicFolder.open(folder / "page", lambda _: True, [], False) as target:
        with target.filled() as place:
            (place / "index.html").write_text(content)


def write_images(folder: Path, content: str) -> None:
    output = OutputFolder.open(folder / "imgs", {"stage": content}, [], False)
    (folder / "imgs/a.png").write_text(content)
    output.journal.add({"name": "a", "file": "a.png", "sha256": "0"})
    output.finish(Record(IMAGES, "purify", {}), [])


def write_several(folder: Path, content: str) -> None:
    with sole_writer(folder / "several"):
        if (folder / "several/a.txt").exists():
            raise InputError("exists")
        (folder / "several/a.txt").write_text(content)


@pytest.mark.parametrize("write", [write_file, write_plot, write_page, write_images, write_several])
def test_of_many_runs_one_writes(write: Callable[[Path, str], Any], tmp_path: Path) -> None:
    """Each output holds what the one successful run has written, however the runs meet."""
    for number in range(10):
        folder = tmp_path / str(number)
        folder.mkdir()
        wait, go = os.pipe()
        children = {_forked(write, folder, f"run{run}", wait, go): f"run{run}" for run in range(4)}
        os.close(wait)
        os.close(go)  # all go at once
        codes = {children[child]: os.waitpid(child, 0)[1] for child in children}
        done = [content for content, status in codes.items() if status == 0]
        assert len(done) == 1, codes
        assert {os.waitstatus_to_exitcode(status) for status in codes.values()} == {0, 2}
        texts = {c for name, c in tree_of(folder).items() if not name.endswith((".h5", ".json"))}
        assert texts == {done[0].encode()}


def _forked(write: Callable[[Path, str], Any], folder: Path, text: str, wait: int, go: int) -> int:
    child = os.fork()
    if child:
        return child
    os.close(go)
    os.read(wait, 1)
    try:
        write(folder, text)
    except InputError:
        os._exit(2)
    except BaseException:
        os._exit(1)
    os._exit(0)


def test_a_lock_that_a_killed_run_left_hinders_no_other_command(tmp_path):
    path = tmp_path / "a.png"
    Journal.open(journal_of(path), IN_ONE_GO, path).close()
    with journal_beside(path, {"stage": "other"}, False) as journal:
        journal.add({"name": "a"})
    assert tree_of(tmp_path) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_read_only_disk_is_a_fault_of_the_machine(kind, runs, tmp_path, run_cli):
    with read_only_disk(tmp_path / "ro") as disk:
        arguments, output = runs(kind, disk)
        result = run_cli(*arguments)
        line = f"rsparse: error: {output}: cannot be written: read-only file system; {GOES_ON}"
        assert result.stderr.splitlines() == [line]
        assert (result.exit_code, result.stdout) == (3, "")
