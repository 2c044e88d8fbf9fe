"""A run stopped by a full disk, a limit or lack of memory resumes; stream errors do no harm."""

from __future__ import annotations

import errno
import os
import resource
import shlex
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from rsparse.errors import (
    InputError,
    MachineError,
    TooLargeError,
    attempt,
    is_out_of_memory,
    lack_of_memory,
    system_error,
    write_error,
)
from rsparse.store import images
from rsparse.store.folders import JOURNAL, MANIFEST
from rsparse.store.images import encode_png
from rsparse.store.inputs import load_inputs
from rsparse.store.journal import Journal
from rsparse.work.progress import SILENT, Silent
from rsparse.work.runs import load_image, run_images
from rsparse.work.steps import OneByOne
from tests.conftest import REPOSITORY, tree_of
from tests.disks import at_most, enlarge, small_disk
from tests.processes import finished
from tests.refusals import GOES_ON, fails

FAST = ("--sparsity", "2", "--stride", "4", "-j", "1")


class TestKindsOfErrors:
    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE])
    def test_the_machine(self, number):
        failure = system_error(OSError(number, os.strerror(number)), "a.png: cannot be read")
        assert isinstance(failure, MachineError)
        assert str(failure) == f"a.png: cannot be read: {os.strerror(number).lower()}"

    @pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.EISDIR])
    def test_the_input(self, number):
        assert isinstance(system_error(OSError(number, "no"), "a.png"), InputError)

    def test_an_output_fails_through_its_name_or_the_machine(self):
        assert isinstance(write_error(OSError(errno.ENAMETOOLONG, "long"), "a"), InputError)
        assert isinstance(write_error(OSError(errno.EACCES, "no"), "a"), MachineError)

    def test_libraries_lack_memory_in_their_own_words(self):
        import cv2

        assert is_out_of_memory(MemoryError())
        assert is_out_of_memory(RuntimeError("std::bad_alloc"))
        assert not is_out_of_memory(RuntimeError("a bug"))
        with pytest.raises(cv2.error) as caught:
            cv2.copyMakeBorder(np.zeros((1, 1), np.uint8), 0, 2**30, 0, 2**30, cv2.BORDER_CONSTANT)
        assert is_out_of_memory(caught.value)

    def test_a_lack_of_memory_is_found_in_what_it_causes(self):
        def load() -> None:
            try:
                raise OSError("libtorch.so: failed to map segment from shared object")
            except OSError as error:
                raise ImportError("is not installed") from error

        with pytest.raises(ImportError) as caught:
            load()
        assert lack_of_memory(caught.value) is caught.value.__cause__

    def test_one_image_that_lacks_memory_is_an_input_error(self):
        assert isinstance(attempt(np.ones, 2**50), TooLargeError)
        with pytest.raises(ZeroDivisionError):
            attempt(divmod, 1, 0)


class TestLackOfMemory:
    def run(self, pictures, tmp_path, function, progress=SILENT):
        inputs = load_inputs([pictures])
        journal = Journal.open(tmp_path / "journal", {"run": 1}, tmp_path)
        try:
            step = OneByOne(function)
            return run_images(inputs, journal, step, task="test", progress=progress)
        finally:
            journal.close()

    def test_an_image_is_skipped(self, pictures, tmp_path):
        def fail_on_b(image):
            if image.name == "b":
                raise MemoryError
            return {"name": image.name, "source_sha256": load_image(image)[1]}

        done, _, failed = self.run(pictures, tmp_path, fail_on_b)
        error = f"{pictures / 'b.png'}: needs more memory than is available"
        assert done == 2
        assert failed == [{"name": "b", "path": str(pictures / "b.png"), "error": error}]

    def test_an_image_that_fails_beside_others_is_done_alone(self, pictures, tmp_path):
        tried, counted = [], []

        def fail_once(image):
            tried.append(image.name)
            if tried == ["a"]:
                raise MemoryError
            return {"name": image.name, "source_sha256": load_image(image)[1]}

        class Counter(Silent):
            def advance(self, items=1, work=None):
                counted.append((items, len(tried)))

        outcome = self.run(pictures, tmp_path, fail_once, Counter())
        assert outcome == (3, 0, [])
        assert tried == ["a", "b", "sub/c", "a"]
        assert [items for items, _ in counted if items] == [1, 1, 1]
        assert counted[-1] == (1, 4)

    def test_a_run_in_which_no_image_has_enough_fails(self, pictures, tmp_path):
        def fail(image):
            raise MemoryError

        with fails(f"{pictures / 'a.png'}: needs more memory than is available"):
            self.run(pictures, tmp_path, fail)


class TestFullDisk:
    @pytest.fixture
    def whole(self, pictures, dict_file, tmp_path, run_cli):
        run_cli("purify", pictures, "-d", dict_file, *FAST, "-o", tmp_path / "whole")
        return tree_of(tmp_path / "whole")

    def test_a_run_goes_on_once_there_is_space(self, run_cli, pictures, dict_file, tmp_path, whole):
        with small_disk(tmp_path / "disk", "12k") as disk:
            arguments = ("purify", pictures, "-d", dict_file, *FAST, "-o", disk / "out")
            code, stdout, stderr = finished(*arguments)
            assert (code, stdout) == (3, "")
            assert stderr.endswith(f"cannot be written: no space left on device; {GOES_ON}\n")
            assert stderr.count("\n") == 1
            assert not (disk / "out" / MANIFEST).exists()
            enlarge(disk, "1m")
            done = run_cli(*arguments)
            assert done.exit_code == 0, done.stderr
            assert tree_of(disk / "out") == whole

    @pytest.mark.slow
    @pytest.mark.parametrize("size", [100, 4000])
    def test_a_limit_of_the_size_of_files(self, pictures, dict_file, tmp_path, whole, size):
        arguments = ("purify", pictures, "-d", dict_file, *FAST, "-o", tmp_path / "out")
        limit = at_most(resource.RLIMIT_FSIZE, size)
        code, stdout, stderr = finished(*arguments, preexec_fn=limit)
        assert (code, stdout) == (3, "")
        assert stderr.endswith(f"cannot be written: file too large; {GOES_ON}\n")
        assert stderr.count("\n") == 1
        code, _, stderr = finished(*arguments)
        assert code == 0, stderr
        assert tree_of(tmp_path / "out") == whole
        assert not (tmp_path / "out" / JOURNAL).exists()

    @pytest.mark.slow
    def test_hdf5_on_a_full_disk(self, pictures, tmp_path):
        with small_disk(tmp_path / "disk", "4k") as disk:
            model = REPOSITORY / "fixtures" / "colours.onnx"
            arguments = ("classify", pictures, "-m", model, "-o", disk / "pred.h5", "-j", "1")
            code, _, stderr = finished(*arguments)
            assert code == 3
            assert stderr.endswith(f"cannot be written: no space left on device; {GOES_ON}\n")
            enlarge(disk, "1m")
            assert finished(*arguments)[0] == 0
            assert [path.name for path in disk.iterdir()] == ["pred.h5"]

    @pytest.mark.slow
    def test_a_full_disk_in_a_journal(self, pictures, tmp_path):
        with small_disk(tmp_path / "disk", "4k") as disk:
            code, _, stderr = finished("learn-dict", pictures, "-o", disk / "dict.h5", "-j", "1")
        assert code == 3
        assert stderr == (
            f"rsparse: error: {disk}/.dict.h5.rsparse-journal.jsonl: cannot be written: "
            f"no space left on device; {GOES_ON}\n"
        )

    @pytest.mark.slow
    def test_a_process_without_memory(self, pictures, tmp_path):
        model = REPOSITORY / "fixtures" / "colours.onnx"
        arguments = ("attack", pictures, "-m", model, "-a", "fgsm:eps=4", "-o", tmp_path / "out")
        limit = at_most(resource.RLIMIT_AS, 600 << 20)
        code, _, stderr = finished(*arguments, preexec_fn=limit)
        assert code == 3
        assert stderr.startswith("rsparse: error: not enough memory: ")
        assert stderr.count("\n") == 1


def test_a_large_image_is_skipped_before_it_is_decoded_if_memory_is_short(tmp_path, monkeypatch):
    """Not after half a minute of work, and not by the process's end."""
    monkeypatch.setattr(images, "_LARGE", 200)
    monkeypatch.setattr(images, "RESERVED", 1 << 41)  # no address space has so much
    monkeypatch.setattr(images.Image.Image, "load", lambda self: pytest.fail("was decoded"))
    content = encode_png(np.zeros((20, 10, 3), np.uint8))
    with pytest.raises(MemoryError):
        images.decode_image(content, tmp_path / "a.png")
    monkeypatch.undo()
    assert images.decode_image(content, tmp_path / "a.png").shape == (20, 10, 3)


@pytest.mark.parametrize(
    ("error", "is_told"), [("OSError(errno.EIO, 'broken')", False), ("ValueError('a bug')", True)]
)
def test_a_failing_disk_is_not_told_again_where_libraries_clear_up(error, is_told):
    """The error that makes them clear up is told on one line."""
    program = f"""
import errno
from rsparse import signals
signals.take_over()
class Leftover:
    def __del__(self):
        raise {error}
Leftover()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY, check=True
    )
    assert ("Traceback" in done.stderr) is is_told


class TestStreams:
    @pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("policy", "list")])
    def test_a_full_output_is_told(self, arguments):
        with open("/dev/full", "w") as full:  # noqa: PTH123
            code, _, stderr = finished(*arguments, stdout=full)
        assert code == 3
        assert stderr == (
            "rsparse: error: standard output: cannot be written: no space left on device\n"
        )

    @pytest.mark.parametrize(
        "arguments", [("--version",), ("--help",), ("policy", "list"), ("purify", "-h")]
    )
    def test_a_closed_output_is_told(self, arguments):
        """Its result would be lost, with an exit code that says that all went well."""
        code, _, stderr = finished(*arguments, preexec_fn=partial(os.close, 1))
        assert code == 3
        assert stderr == (
            "rsparse: error: standard output: is closed; send it to a file, or to /dev/null if it "
            "is not needed\n"
        )

    def test_a_closed_output_is_no_matter_to_a_command_that_fails(self, tmp_path):
        code, _, stderr = finished("show", tmp_path / "none", preexec_fn=partial(os.close, 1))
        assert code == 2
        assert stderr.count("\n") == 1

    def test_a_reader_that_has_gone_is_not_told(self):
        command = f"{shlex.quote(sys.executable)} -m rsparse --help | true; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("1\n", "")

    @pytest.mark.slow
    @pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
    def test_closed_streams(self, pictures, dict_file, tmp_path, closed):
        def close():
            for number in closed:
                os.close(number)

        arguments = ("purify", pictures, "-d", dict_file, *FAST, "-o", tmp_path / "out")
        code, stdout, stderr = finished(*arguments, preexec_fn=close)
        assert code == (3 if 1 in closed else 0)
        assert stdout == ("" if 1 in closed else f"{tmp_path / 'out'}\n")
        assert "Traceback" not in stderr
        assert (tmp_path / "out" / MANIFEST).exists()

    def test_errors_that_nobody_can_read_keep_their_code(self, tmp_path):
        with open("/dev/full", "w") as full:  # noqa: PTH123
            code, _, _ = finished("show", tmp_path / "none", stderr=full)
        assert code == 2
