"""Hostile input at random: whatever is damaged or typed, a command does its work or says one sentence."""

import os
import shutil
import signal
import warnings

import numpy as np
import pytest
from benchmarks.hostile import fuzzed, prepared
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genloom.cli.app import run


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attacked")
    return prepared(folder / "whole"), folder


@pytest.fixture
def ended_in_time():
    """An attempt that waits for ever ends the test, not the suite."""
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("a command waits for ever"))
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_is_damaged_or_typed_ends_in_one_sentence(attacked, ended_in_time, capfd, seed):
    (runs, data), folder = attacked
    place = folder / "attempt"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    attack = fuzzed(np.random.default_rng(seed), runs, data, place)
    attack.before()
    capfd.readouterr()
    with warnings.catch_warnings():  # which the command line keeps to itself
        warnings.simplefilter("ignore")
        here = os.getcwd()
        os.chdir(place)
        try:
            status = run(attack.words)
        finally:
            os.chdir(here)
    said = capfd.readouterr().err
    assert status in (0, 2), attack
    if status == 2:
        assert said.startswith("genloom: ") and len(said.splitlines()) == 1, (attack, said)
