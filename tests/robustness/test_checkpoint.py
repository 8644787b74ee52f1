"""kill -9 at any moment: training goes on, and ends with the same bytes."""

import json
import pathlib
import subprocess
import sys

import pytest

from keras_gxnor.callbacks import files

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _run(folder):
    """The report of tests/robustness/training_process.py, which fills three folders in `folder`."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.robustness.training_process", str(folder), "20180513"],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def _states(folder):
    return {path.name: path for path in folder.glob("*.gxnor")}


def _differing(one, other):
    """Names of the variables that two checkpoint files hold with different bytes."""
    (info, arrays), (_, others) = files.read(one), files.read(other)
    variables = [v for group in ("model", "optimizer", "metrics") for v in info["variables"][group]]
    assert len(variables) == len(arrays) == len(others)
    return {v[0] for v, a, b in zip(variables, arrays, others) if a.tobytes() != b.tobytes()}


@pytest.mark.slow
def test_killed_runs_end_byte_equal(tmp_path):
    report = _run(tmp_path)  # more than a minute: all that it shows is looked at in this one test
    deaths = report["deaths"]
    assert len(deaths) >= 20 and deaths.count("any") >= 8
    inside = {"half_written", "written", "synced", "renamed", "old_removed"}
    assert inside <= set(deaths) and report["unfinished"] >= 5
    names = ["epoch-00003-batch-00000049.gxnor", "epoch-00004-batch-00000000.gxnor"]
    # What killed writes left behind is cleaned up.
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == [".lock", *names]
    for name in names:
        whole, killed = tmp_path / "whole" / name, tmp_path / "killed" / name
        assert _differing(whole, killed) == set()
        # Logs, position, seed and all else as well: the files are the same.
        assert whole.read_bytes() == killed.read_bytes()
    info, _ = files.read(killed)
    assert [len(values) for values in info["history"].values()] == [4, 4]
    # The comparison has teeth: the same run, with the slots zeroed at one restart.
    differing = _differing(whole, tmp_path / "forgetful" / names[-1])
    assert "sequential/gxnor_dense/kernel" in differing
    assert any("moment" in variable for variable in differing)
