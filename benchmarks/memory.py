"""Peak memory of the commands on folders of 100, 1,000 and, with --full, 10,000 images.

    python benchmarks/memory.py [--shared ../shared] [--full]

The peak of the proportional set size (a page that n processes share counts 1/n to each), summed
over a command's processes and sampled every tenth of a second. Linux only.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import measure
import photographs

from rsparse.data import demo_model
from rsparse.report.markdown_tables import table_text
from rsparse.work.workers import usable_cores

LIMIT = 600  # MB
EMBEDDED_SIDE = 128
INTERVAL = 0.1


def main() -> None:
    options = measure.parser(__doc__).parse_args()
    if not Path("/proc/self/smaps_rollup").exists():
        print("Memory was not measured, because this system does not report it by process.\n")
        return
    sizes = [100, 1_000, *([10_000] if options.full else [])]
    side = photographs.SIDE if options.shared else EMBEDDED_SIDE
    images = photographs.photographs(options.shared, 50)
    print(
        "### Peak memory\n\nThe memory of all processes of a command, in MB, with "
        f"`--jobs {usable_cores()}`. The images are hard links to 50 files of {side}×{side}.\n"
    )
    peaks: dict[str, list[float]] = {}
    for size in sizes:
        folder = photographs.folder_of(images, size, options.work / f"memory-{size}", side)
        for name, command in commands(folder, options.work / f"memory-{size}-out").items():
            peaks.setdefault(name, []).append(peak(command) / 1e6)
    rows = [
        [f"`rsparse {name}`", *map("{:.0f}".format, values), f"{values[-1] / values[0]:.2f}×"]
        for name, values in peaks.items()
    ]  # fmt: skip
    columns = ["command", *(f"{size:,} images" for size in sizes), "last / first"]
    print(table_text(columns, rows))
    for name, values in peaks.items():
        print(measure.target(f"MB of `{name}`, the largest", max(values), LIMIT, at_least=False,
                             digits=0))  # fmt: skip
    growth = max(values[-1] / values[0] for values in peaks.values())
    print(measure.target(f"growth from {sizes[0]:,} to {sizes[-1]:,} images, the worst command",
                         growth, 1.2, at_least=False), "\n")  # fmt: skip


def commands(folder: Path, output: Path) -> dict[str, list[str]]:
    """Command lines by name, in an order in which each finds what it needs."""
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    atoms, model = output / "dict.h5", demo_model()
    jobs = ("--jobs", usable_cores())
    return {
        "learn-dict": measure.rsparse("learn-dict", folder, "-o", atoms, *jobs),
        "purify": measure.rsparse(
            "purify", folder, "--dict", atoms, "--sparsity", 2, "-o", output / "clean", *jobs
        ),
        "localize": measure.rsparse("localize", folder, "-o", output / "masks", *jobs),
        "classify": measure.rsparse(
            "classify", folder, "--model", model, "-o", output / "pred.csv", *jobs
        ),
        "activations": measure.rsparse(
            "activations", folder, output / "clean", "--model", model,
            "-o", output / "act.h5", *jobs,
        ),
    }  # fmt: skip


def peak(command: list[str]) -> float:
    """Bytes of a command and the processes it starts, at their most.

    Raises
    ------
    RuntimeError
        If the command fails.
    """
    largest = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
        while running.poll() is None:
            largest = max(largest, sum(map(_resident, _tree(running.pid))))
            time.sleep(INTERVAL)
        assert running.stderr is not None
        if running.returncode:
            raise RuntimeError(running.stderr.read().decode())
    return largest


def _tree(root: int) -> list[int]:
    """A process and its descendants."""
    found = [root]
    for pid in found:
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text(encoding="ascii").split())
        except OSError:  # it has just ended
            pass
    return found


def _resident(pid: int) -> int:
    """Proportional set size in bytes; 0 of a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    main()
