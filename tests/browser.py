"""A browser without a network, for tests of pages; they are skipped, saying so, where there is none."""

import shutil
import time
from contextlib import contextmanager

import pytest

PLACES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def browsing(**options):
    """Give a context of a browser that is offline; `errors` and `requests` of it are what its pages say and ask for."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next((path for path in map(shutil.which, PLACES) if path), None)
    if found is None:
        pytest.skip("there is no Chromium on this machine: apt-get install chromium")
    with api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        context = browser.new_context(offline=True, accept_downloads=True, **options)
        context.set_default_timeout(60_000)
        context.errors, context.requests = [], []
        context.on(
            "console",
            lambda each: (
                each.type in ("error", "warning")
                and "willReadFrequently" not in each.text
                and context.errors.append(each.text)
            ),
        )
        context.on("weberror", lambda each: context.errors.append(str(each.error)))
        context.on("request", lambda each: context.requests.append(each.url))
        yield context
        browser.close()


def until(page, expression, seconds=60):
    """Wait until an expression is true, asking now and then: pages forbid what playwright itself would do."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"{expression} is still not true; status: {page.inner_text('#status')}"
        time.sleep(0.03)
