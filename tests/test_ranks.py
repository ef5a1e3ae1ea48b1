"""Several processes train one model."""

import os
import subprocess
import sys

import torch

from games import train, weights


def test_two_ranks_equal_one_with_the_whole_batch(tmp_path):
    script = tmp_path / "ranks.py"
    script.write_text(
        "import sys, torch, torch.distributed as dist\n"
        f"sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        "from pathlib import Path\n"
        "from genloom.train.processes import leave_processes, start_processes\n"
        "from games import train, weights\n"
        "torch.set_num_threads(1)\n"
        "start_processes('cpu')\n"
        "model, _ = train(Path(sys.argv[1]) / f'rank{dist.get_rank()}')\n"
        "torch.save(weights(model), Path(sys.argv[1]) / f'{dist.get_rank()}.pt')\n"
        "leave_processes()\n"
        "threads = [path.read_text() for path in Path('/proc/self/task').glob('*/comm')]\n"
        "assert not any('gloo' in name for name in threads), threads  # they would outlive Python and abort it\n"
    )
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(script),
        str(tmp_path),
    ]
    done = subprocess.run(launch, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one, _ = train(tmp_path / "one")
    for rank in "01":
        assert torch.allclose(torch.load(tmp_path / f"{rank}.pt", weights_only=True), weights(one), atol=1e-5)
