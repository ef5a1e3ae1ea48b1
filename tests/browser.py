"""A browser for tests of pages; they are skipped, saying so, where there is none."""

from contextlib import contextmanager

import pytest
from benchmarks import browser


@contextmanager
def browsing(**options):
    """Give a context of a browser that is offline, and see that its pages ask for nothing and complain of nothing."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if browser.chromium() is None:
        pytest.skip("there is no Chromium on this machine: apt-get install chromium")
    with browser.browsing(**options) as context:
        yield context
        assert not context.errors and not browser.outside(context)
