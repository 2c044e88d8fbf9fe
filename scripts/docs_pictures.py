"""Run the demo and save its pictures, reduced for the documentation, in docs/pictures/.

python scripts/docs_pictures.py
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from rsparse.commands.demo import run_demo

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
WIDTH = 1100


def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        made = Path(folder) / "demo"
        for name, share in run_demo(made).items():
            print(f"{name}: {share.correct}/{share.n}")
        with Image.open(made / "contact-sheet.png") as sheet:
            size = (WIDTH, round(sheet.height * WIDTH / sheet.width))
            small = sheet.resize(size, Image.Resampling.LANCZOS)
        small.save(PICTURES / "contact-sheet.jpg", quality=86)
        shutil.copy(made / "activations.png", PICTURES)


if __name__ == "__main__":
    main()
