"""A real Chromium for tests of pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PLACE = Path("/usr/bin/chromium")
needs_chromium = pytest.mark.skipif(
    not PLACE.exists(), reason=f"needs {PLACE} (apt-get install chromium)"
)


@contextmanager
def started() -> Iterator[Any]:
    """The browser of Playwright; it ends with the block."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(PLACE), args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()
