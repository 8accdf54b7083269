"""Chromium, driven by Playwright, and our page in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser of Playwright's, which needs CHROMIUM."""
    from playwright.sync_api import sync_playwright  # whoever has no browser imports this, too

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def go_to(tab: Any, address: str) -> None:
    """Open the page in a tab, and wait until the server has told it what the form offers."""
    tab.goto(address)
    tab.wait_for_selector("[name=preset] option", state="attached")
