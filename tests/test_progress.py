"""The progress bar: the time that is left, any width, and silence in a pipe."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len

from rsparse.cli.progress import clock_text
from rsparse.store.images import ImageFile, encode_png, pixels_in_header
from rsparse.work.pace import Pace
from rsparse.work.sizes import FIXED, ImageWork
from tests.conftest import REPOSITORY
from tests.processes import read_terminal


class Clock:
    """Seconds that only pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Simulation:
    """Processes that take items in turn; each takes its time, after the start of all."""

    def __init__(self, seconds, *, work=None, startup=0.0, processes=1, together=1) -> None:
        clock = Clock()
        self.start = clock.now
        free = [clock.now + startup] * processes
        ends = []
        for number, each in enumerate(seconds):
            free.sort()
            free[0] += each
            ends.append((free[0], number))
        ends.sort()
        pace = Pace(len(ends), 0, None if work is None else float(sum(work)), processes, clock)
        self.told = []  # (share of the work, seconds left as told, truth)
        for place in range(0, len(ends), together):
            group = ends[place : place + together]
            clock.now = group[-1][0]
            pace.advance(len(group), None if work is None else sum(work[n] for _, n in group))
            self.told.append((pace.share, pace.seconds_left, ends[-1][0] - clock.now))
        assert pace.share == pytest.approx(1)
        assert pace.seconds_left == 0

    def worst(self) -> float:
        """The largest relative error between 10 % and 90 % of the work."""
        errors = [abs(left / true - 1) for share, left, true in self.told if 0.1 <= share <= 0.9]
        assert len(errors) > 3
        return max(errors)


def sizes_of(n: int, order: str) -> np.ndarray:
    """Pixels of images from thumbnails to photographs."""
    sizes = np.geomspace(80 * 60, 3000 * 2000, n)
    return sizes if order == "rising" else np.random.default_rng(0).permutation(sizes)


class TestTimeLeft:
    @pytest.mark.parametrize("processes", [1, 2, 16])
    @pytest.mark.parametrize("startup", [0.0, 5.0])
    def test_of_items_that_are_alike(self, startup, processes):
        times = np.random.default_rng(1).uniform(0.8, 1.2, 400)
        assert Simulation(times, startup=startup, processes=processes).worst() < 0.3

    @pytest.mark.parametrize("order", ["rising", "random"])
    def test_of_images_by_their_pixels(self, order):
        """Each takes a constant time and one for each pixel; the constant is not quite ours."""
        work = sizes_of(200, order) + FIXED
        seconds = (sizes_of(200, order) + 1.5 * FIXED) * 1e-7
        for processes in (1, 2):
            found = Simulation(seconds, work=work, startup=3.0, processes=processes)
            assert found.worst() < 0.3
        assert Simulation(seconds, startup=3.0).worst() > 0.3

    def test_of_batches_on_a_device(self):
        assert Simulation(np.full(640, 0.01), startup=8.0, together=32).worst() < 0.3

    def test_it_counts_down_between_items_and_grows_when_one_takes_long(self):
        clock = Clock()
        pace = Pace(10, clock=clock)
        assert pace.seconds_left is None
        for _ in range(4):
            clock.now += 2
            pace.advance()
        assert pace.seconds_left == pytest.approx(12)
        clock.now += 1.5
        assert pace.seconds_left == pytest.approx(10.5)
        clock.now += 10
        assert pace.seconds_left > 12

    def test_items_of_an_earlier_run_count_in_the_share_only(self):
        clock = Clock()
        pace = Pace(100, 60, 80.0, clock=clock)
        assert (pace.share, pace.done) == (0.6, 60)
        clock.now += 1
        pace.advance(1, 20.0)
        assert pace.share == pytest.approx(0.7)
        assert pace.seconds_left == pytest.approx(3)
        assert Pace(0).share == 1


class TestWork:
    def test_it_is_in_pixels(self, tmp_path: Path):
        Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
        Image.new("L", (300, 200)).save(tmp_path / "b.jpg")
        (tmp_path / "c.png").write_bytes(b"no image")
        images = [ImageFile(path.stem, path, tmp_path) for path in sorted(tmp_path.iterdir())]
        assert [pixels_in_header(image.path) for image in images] == [600, 60_000, 0]
        work = ImageWork(images)
        assert work.total == 60_600 + 3 * FIXED
        assert work.of(["b", "c"]) == 60_000 + 2 * FIXED
        assert ImageWork(()).of(["b"]) is None

    def test_of_many_images_some_are_measured(self, tmp_path: Path, monkeypatch):
        asked = []
        monkeypatch.setattr(
            "rsparse.work.sizes.pixels_in_header", lambda path: asked.append(path) or 1000
        )
        images = [ImageFile(f"{n}", tmp_path / f"{n}.png", tmp_path) for n in range(7000)]
        assert ImageWork(images).total == 7000 * (FIXED + 1000)
        assert len(asked) == 1750
        assert ImageWork(images * 10).total is None


def on_a_terminal(folder: Path, columns: int) -> list[str]:
    """The lines that purify shows on a terminal of this width, in their order."""
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "LINES": "24"}
    words = ("purify", "imgs", "--defense", "tvm", "-o", f"out-{columns}", "-j", "1")
    command = [sys.executable, "-m", "rsparse", *words]
    environment["PYTHONPATH"] = str(REPOSITORY)
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=theirs, env=environment, cwd=folder
    ) as running:
        os.close(theirs)
        shown = b""
        while chunk := read_terminal(ours):
            shown += chunk
    os.close(ours)
    assert running.returncode == 0, shown
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    return [line for line in re.split(r"[\r\n]+", text) if "left " in line and "/6" in line]


def test_it_fits_its_terminal(tmp_path: Path):
    (tmp_path / "imgs").mkdir()
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, (400, 400, 3), np.uint8)
        (tmp_path / "imgs" / f"{number}.png").write_bytes(encode_png(pixels))
    for columns in (40, 100):
        lines = on_a_terminal(tmp_path, columns)
        assert len(lines) >= 2
        assert max(map(cell_len, lines)) <= columns
        bars = [
            re.fullmatch(r"(purify|pur…|pu…) +\S+ +(\d)/6( 0:\d\d)? left \S+ *", line)
            for line in lines
        ]
        assert all(bars), lines
        assert {bool(bar[3]) for bar in bars if bar} == {columns == 100}


def test_it_is_silent_in_a_pipe(tmp_path: Path):
    code = (
        "from rsparse.cli.console import progress_bar\n"
        "with progress_bar() as progress:\n"
        "    assert not progress.is_shown\n"
        "    progress.start('a task', 2)\n"
        "    progress.advance()\n"
        "    progress.message('a sentence')\n"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, cwd=REPOSITORY, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "a sentence\n")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (7, "0:07"), (754, "12:34"), (11045, "3:04:05")]
)
def test_times_are_read_as_on_a_clock(seconds, text):
    assert clock_text(seconds) == text
