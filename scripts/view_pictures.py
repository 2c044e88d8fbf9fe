"""Take a screenshot of `rsparse view` on the demo's photographs, for docs/pictures/.

python scripts/view_pictures.py      # needs chromium, playwright and the extra attack
"""

from __future__ import annotations

import io
import shutil
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright
from report_pictures import OPTIONS, PICTURES, run

from rsparse.commands.view import serve_artifacts
from rsparse.data import demo_model, demo_photos
from rsparse.options.view import ViewParameters

WIDTH, HEIGHT = 1280, 900
SHOWN = "cat/00"  # the image that is opened


def main() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        folders = [folder / each for each in ("photos", "adv", "adv-purified", "masks")]
        photos, adv, purified, masks = folders
        shutil.copytree(demo_photos("test"), photos)
        run("attack", photos, "--model", demo_model(), "--attack", "bim:eps=4", "-o", adv)
        run("purify", adv, "-o", purified)
        run("localize", photos, "-o", masks)
        tables = [folder / f"pred-{each.name}.csv" for each in folders[:3]]
        for images, table in zip(folders, tables, strict=False):
            run("classify", images, "--model", demo_model(), "-o", table)
        picture = screenshot([*folders, *tables])
    picture.save(PICTURES / "view.jpg", quality=82, optimize=True)


def screenshot(artifacts: list[Path]) -> Image.Image:
    """Return the list in light mode on the left, and one image in dark mode on the right."""
    with serve_artifacts(artifacts, ViewParameters()) as server, sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(OPTIONS)
        )
        shots = [shot(browser, server.address, scheme) for scheme in ("light", "dark")]
        browser.close()
        server.shutdown()
    both = Image.new("RGB", (2 * WIDTH, HEIGHT))
    for place, each in enumerate(shots):
        both.paste(each, (place * WIDTH, 0))
    return both.resize((1400, round(1400 * HEIGHT / (2 * WIDTH))), Image.Resampling.LANCZOS)


def shot(browser: Any, address: str, scheme: str) -> Image.Image:
    """The list, or in dark mode one image."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
    page.goto(address)
    page.locator("#grid .name").first.wait_for()
    if scheme == "dark":
        page.get_by_label("Find").fill(SHOWN)
        page.get_by_text("1 of 50 images").wait_for()
        page.locator("#grid button", has_text=SHOWN).click()
        page.locator("#content .tiles").wait_for()
    page.wait_for_load_state("networkidle")
    taken = Image.open(io.BytesIO(page.screenshot()))
    page.close()
    return taken


if __name__ == "__main__":
    main()
