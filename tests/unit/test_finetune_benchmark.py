"""benchmarks/finetune.py: the held-out part chooses the rates, and the report has what the docs show."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benchmarks"))

import finetune

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEEDS = [  # rate: (held out, test)
    {
        "converted": 70.0,
        "finetuned": {0.1: (90.0, 88.0), 0.3: (92.0, 80.0)},
        "scratch": {0.1: (85.0, 1.0), 0.3: (85.0, 2.0)},
    },
    {
        "converted": 72.0,
        "finetuned": {0.1: (94.0, 89.0), 0.3: (93.0, 81.0)},
        "scratch": {0.1: (84.0, 3.0), 0.3: (84.0, 4.0)},
    },
]


def test_the_held_out_part_of_all_seeds_chooses_the_rate():
    """0.3 has 92 + 93 > 90 + 94, though it is worse on the test set; of equals the first."""
    assert finetune.summary(SEEDS, (0.1, 0.3)) == {
        "converted": [70.0, 72.0],
        "finetuned": [80.0, 81.0],
        "finetuned_rate": 0.3,
        "scratch": [1.0, 3.0],
        "scratch_rate": 0.1,
    }


@pytest.mark.slow
def test_the_quick_run():
    command = [sys.executable, "benchmarks/finetune.py", "--quick", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=os.environ)
    report = json.loads(done.stdout)
    assert len(report["runs"]) == len(finetune.KERNELS) * len(finetune.ACTIVATIONS)
    for runs in report["runs"].values():
        for name in ("converted", *finetune.SIDES):
            (percent,) = runs[name]
            assert 5 < percent <= 100
        assert all(runs[f"{side}_rate"] == 0.1 for side in finetune.SIDES)
