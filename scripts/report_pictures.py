"""Take a screenshot of a report on a small evaluation of the demo, for docs/pictures/.

python scripts/report_pictures.py [FOLDER]     # needs chromium and playwright

The evaluation, with attackers who know the defenses, takes a quarter of an hour on two cores.
FOLDER keeps it, and a run that was interrupted continues there.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import sync_playwright

from rsparse.data import demo_model, demo_photos

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
WIDTH, HEIGHT, LIMIT = 1280, 2000, 12
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
PLAN = (
    "--attack", "fgsm:eps=2,8", "--attack", "bim:eps=2,8", "--defense", "regionsparse:sparsity=2",
    "--policy", "default", "--defense", "jpeg:quality=20,75", "--defense", "median:size=3",
    "--scenario", "gray-box", "--scenario", "adaptive:fast=yes", "--max-images", LIMIT,
    "--no-extra-checks",
)  # fmt: skip


def main() -> None:
    if len(sys.argv) > 1:
        make_picture(Path(sys.argv[1]))
        return
    with TemporaryDirectory() as name:
        make_picture(Path(name))


def make_picture(folder: Path) -> None:
    """Evaluate in ``folder``, and take the picture of the report."""
    model, dictionary, reference = demo_model(), folder / "dict.h5", folder / "reference.h5"
    photos = demo_photos("train")
    if not dictionary.exists():
        run("learn-dict", photos, "-o", dictionary, "--patches-per-image", 100)
    if not reference.exists():
        run("detect", "--calibrate", photos, "--model", model, "-o", reference)
    run(
        "evaluate", demo_photos("test"), "--model", model, "--dict", dictionary,
        "--detector", reference, *PLAN, "-o", folder / "eval",
    )  # fmt: skip
    run(
        "report", folder / "eval", "-o", folder / "report", "--dict", dictionary,
        "--model", model, "--overwrite",
    )  # fmt: skip
    picture = screenshot(folder / "report" / "index.html")
    picture.convert("RGB").save(PICTURES / "report.jpg", quality=86)


def run(*arguments: object) -> None:
    """Run an rsparse command."""
    command = [sys.executable, "-m", "rsparse", *map(str, arguments)]
    subprocess.run(command, check=True)


def screenshot(page_file: Path) -> Image.Image:
    """Return the top of a page, in light mode on the left and in dark mode on the right."""
    program = shutil.which("chromium")
    shots = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(OPTIONS))
        for scheme in ("light", "dark"):
            page = browser.new_page(
                viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme
            )
            page.goto(page_file.as_uri())
            shots.append(Image.open(io.BytesIO(page.screenshot())))
        browser.close()
    both = Image.new("RGB", (2 * WIDTH, HEIGHT))
    for place, shot in enumerate(shots):
        both.paste(shot, (place * WIDTH, 0))
    return both.resize((1400, round(1400 * HEIGHT / (2 * WIDTH))), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
