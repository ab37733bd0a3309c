"""The README's picture: the page of a check that a missing field turned red, as Chromium shows it.

`python docs/pictures/take.py` makes the run, opens its report.html and writes red-check.webp beside
this file. To be taken again when the page has changed; needs Chromium.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).with_name("red-check.webp")
#: What a reader sees first, as large as the column of a README shows it sharply.
WIDTH, HEIGHT = 960, 940
CHECK = "check --target emulator --api v6 --fault field/completed/song_name/missing --seed 7"


def taken(page_file: Path) -> bytes:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT},
            device_scale_factor=2,
            color_scheme="light",
            offline=True,
        )
        page.goto(page_file.as_uri())
        shot = page.screenshot()
        browser.close()
    return shot


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "soundstage", *CHECK.split()]
        done = subprocess.run(command, cwd=scratch, stdout=subprocess.DEVNULL, check=False)
        if done.returncode != 1:
            raise SystemExit("the check was to be red")
        (report,) = Path(scratch).glob("runs/*/report.html")
        picture = Image.open(io.BytesIO(taken(report)))
    picture.save(PICTURE, quality=80, method=6)


if __name__ == "__main__":
    main()
