"""Take a screenshot of a report on a small evaluation of the demo, for docs/pictures/.

python scripts/report_pictures.py      # needs chromium and playwright
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
WIDTH, HEIGHT, LIMIT = 1280, 2000, 20
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
ATTACKS = ("fgsm:eps=2,4,8,16", "bim:eps=2,4,8")
DEFENSES = ("none", "regionsparse:sparsity=2,4", "jpeg:quality=20,75", "median:size=3")


def main() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        model, dictionary = demo_model(), folder / "dict.h5"
        run("learn-dict", demo_photos("train"), "-o", dictionary, "--patches-per-image", 100)
        run(
            "evaluate", demo_photos("test"), "--model", model, "--dict", dictionary,
            *(word for attack in ATTACKS for word in ("--attack", attack)),
            *(word for defense in DEFENSES for word in ("--defense", defense)),
            "--max-images", LIMIT, "-o", folder / "eval",
        )  # fmt: skip
        run(
            "report", folder / "eval", "-o", folder / "report", "--dict", dictionary,
            "--model", model,
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
