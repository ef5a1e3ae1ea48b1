"""Two processes train one model, in folders that they do not share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from games import train, weights


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launch, str(Path(__file__).with_name("two_ranks.py")), str(folder)]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_two_ranks_equal_one_with_the_whole_batch(tmp_path, ranks):
    one, _ = train(tmp_path / "one")
    for rank in ranks:
        assert torch.allclose(rank["weights"], weights(one), atol=1e-5)


def test_each_process_goes_on_with_its_own_buffers_and_the_first_ones_weights(ranks):
    for rank in ranks:
        assert torch.equal(rank["parts"], rank["pooled"])
    pools = [rank["pooled"][-4:] for rank in ranks]
    assert not torch.equal(*pools) and torch.equal(ranks[0]["pooled"][:-4], ranks[1]["pooled"][:-4])


def test_all_stop_where_one_is_told_to(ranks):
    assert ranks[0]["stopped"] == ranks[1]["stopped"] == 128  # two rounds of two batches of 32
