"""kill -9 at any moment: training goes on, and ends with the same bytes."""

import json
import pathlib
import subprocess
import sys

import pytest

from keras_gxnor.callbacks import files

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """(folder of the three runs, report) of tests/robustness/training_process.py."""
    folder = tmp_path_factory.mktemp("runs")
    done = subprocess.run(
        [sys.executable, "-m", "tests.robustness.training_process", str(folder), "20180513"],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, json.loads(done.stdout.splitlines()[-1])


def _states(folder):
    return {path.name: path for path in folder.glob("*.gxnor")}


def _differing(one, other):
    """Names of the variables that two checkpoint files hold with different bytes."""
    (info, arrays), (_, others) = files.read(one), files.read(other)
    variables = [v for group in ("model", "optimizer", "metrics") for v in info["variables"][group]]
    assert len(variables) == len(arrays) == len(others)
    return {v[0] for v, a, b in zip(variables, arrays, others) if a.tobytes() != b.tobytes()}


def test_killed_runs_end_byte_equal(runs):
    folder, report = runs
    deaths = report["deaths"]
    assert len(deaths) >= 20 and deaths.count("any") >= 8
    inside = {"half_written", "written", "synced", "renamed", "old_removed"}
    assert inside <= set(deaths) and report["unfinished"] >= 5
    whole, killed = _states(folder / "whole"), _states(folder / "killed")
    assert sorted(whole) == sorted(killed) == [
        "epoch-00003-batch-00000049.gxnor",
        "epoch-00004-batch-00000000.gxnor",
    ]
    for name in whole:
        assert _differing(whole[name], killed[name]) == set()
        # Logs, position, seed and all else as well: the files are the same.
        assert whole[name].read_bytes() == killed[name].read_bytes()
    info, _ = files.read(killed["epoch-00004-batch-00000000.gxnor"])
    assert [len(values) for values in info["history"].values()] == [4, 4]


def test_what_a_killed_write_leaves_is_cleaned_up(runs):
    names = sorted(path.name for path in (runs[0] / "killed").iterdir())
    assert names == [".lock", "epoch-00003-batch-00000049.gxnor", "epoch-00004-batch-00000000.gxnor"]


def test_forgetting_the_slots_would_be_noticed(runs):
    """The comparison has teeth: the same run, with the slots zeroed at one restart."""
    folder, _ = runs
    name = "epoch-00004-batch-00000000.gxnor"
    differing = _differing(folder / "whole" / name, folder / "forgetful" / name)
    assert "sequential/gxnor_dense/kernel" in differing
    assert any("moment" in variable for variable in differing)
