"""Programs that tests use if this machine has them, and the flags under which C must be silent.

`make test` needs nothing but Python packages: a test whose tool is missing is skipped. With
GXNOR_REQUIRE_TOOLS=1, as `.ci/run` sets it after it has installed them, it fails.
"""

import functools
import os
import shutil
import subprocess
import sys
import tempfile

import pytest

ZIG = [sys.executable, "-m", "ziglang"]
WARNINGS = (
    "-pedantic -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wundef -Wcast-qual "
    "-Wcast-align -Wvla -Wdouble-promotion -Werror"
).split()
C99 = ["-std=c99", "-Wstrict-prototypes", "-Wmissing-prototypes", *WARNINGS]
CXX11 = ["-std=c++11", *WARNINGS]
REQUIRED = os.environ.get("GXNOR_REQUIRE_TOOLS") == "1"


def missing(reason: str):
    """Skips the test, or fails it where all tools must be there."""
    (pytest.fail if REQUIRED else pytest.skip)(reason)


def available(command) -> list[str]:
    """A command, as a list; the test ends here if its program is not on the PATH."""
    command = [command] if isinstance(command, str) else list(command)
    if not shutil.which(command[0]):
        missing(f"no {command[0]} on this machine")
    if "-m32" in command and not _links(tuple(command)):
        missing(f"{' '.join(command)} does not link on this machine (Debian, Ubuntu: gcc-multilib)")
    return command


@functools.cache
def _links(command) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        source = "#include <stdint.h>\nint main(void) { return 0; }\n"
        made = [*command, "-x", "c", "-", "-o", os.path.join(folder, "a.out")]
        return subprocess.run(made, input=source, text=True, capture_output=True).returncode == 0


def executed(program, folder=None, timeout=120):
    """Runs a program; its (return code, output)."""
    done = subprocess.run(
        program, cwd=folder, capture_output=True, text=True, errors="replace", timeout=timeout
    )
    return done.returncode, done.stdout + done.stderr


def thinned(cases, step: int):
    """Cases for `parametrize` of which every `step`-th runs in `make test`, and the others as slow tests."""
    tuples = [case if isinstance(case, tuple) else (case,) for case in cases]
    marks = [[pytest.mark.slow] if place % step else [] for place in range(len(tuples))]
    return [pytest.param(*case, marks=mark) for case, mark in zip(tuples, marks)]
