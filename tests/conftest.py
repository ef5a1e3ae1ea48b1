"""What every test shares: one thread, a cache, torch as it was, and where the real data lies."""

import os
import sys
from pathlib import Path

import pytest

# Before torch is imported, and for the processes that tests start: many threads on tiny nets only wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """A cache that is nobody else's, and one for all of xdist's workers, so that none trains a classifier again."""
    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    cache.mkdir(exist_ok=True)
    os.environ["GENLOOM_CACHE"] = str(cache)


@pytest.fixture(autouse=True)
def torch_as_it_was():
    """Fail the test after which torch is not as it was; the next one finds it in order all the same."""
    yield
    if (torch := sys.modules.get("torch")) is None:
        return
    left = torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.get_default_dtype()
    torch.set_grad_enabled(True)
    torch.set_autocast_enabled("cpu", False)
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(1)
    assert left == (True, False, torch.float32), "torch was left without gradients, with autocast, or with another type"


@pytest.fixture
def brief_gain(monkeypatch):
    """GAIN plays a dozen rounds: for tests of what lies around it, whatever it learns."""
    from genloom.use.tables import network

    sized = network.sized
    monkeypatch.setattr(network, "sized", lambda n, columns: (sized(n, columns)[0], 12))


@pytest.fixture
def few_projections(monkeypatch):
    """The judge's sliced Wasserstein distance, most of its time, is a rough one: for tests that do not look at it."""
    from genloom.measures import pyramid

    monkeypatch.setattr(pyramid, "PROJECTIONS", 8)


@pytest.fixture
def real_data() -> Path:
    folder = Path(os.environ.get("GENLOOM_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set GENLOOM_DATA")
    return folder
