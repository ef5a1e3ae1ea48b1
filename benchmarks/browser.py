"""A browser that is offline, for pages that need no network."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
ONLY_IN_TESTS = "willReadFrequently"  # a warning of reading canvases back, which pages themselves do not


def chromium() -> str | None:
    """Return where Chromium lies, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


@contextmanager
def browsing(**options: Any) -> Iterator[Any]:
    """Give a context of a browser: `errors` is what its pages complain of, `requests` what they ask for."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        context = browser.new_context(offline=True, accept_downloads=True, **options)
        context.set_default_timeout(60_000)
        context.errors, context.requests = [], []

        def said(message: Any) -> None:
            if message.type in ("error", "warning") and ONLY_IN_TESTS not in message.text:
                context.errors.append(message.text)

        context.on("console", said)
        context.on("weberror", lambda each: context.errors.append(str(each.error)))
        context.on("request", lambda each: context.requests.append(each.url))
        yield context
        browser.close()


def outside(context: Any) -> list[str]:
    """Return the requests of a context that leave the page."""
    return [each for each in context.requests if not each.startswith(("file:", "blob:", "data:"))]


def until(page: Any, expression: str, seconds: float = 60) -> None:
    """Wait until an expression is true, asking now and then: pages forbid what playwright itself would do."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"{expression} is still not true; status: {page.inner_text('#status')}"
        time.sleep(0.03)
