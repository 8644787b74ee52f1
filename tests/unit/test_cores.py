import shutil

import pytest
import unicorn

from keras_gxnor.converters import cores, emulator
from keras_gxnor.errors import InvalidArgumentError, ToolError
from tests.unit.test_emulator import tiny


def test_the_table():
    assert set(cores.CORES) == {
        *("cortex-m0", "cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "rv32imc")
    }
    for name, core in cores.CORES.items():
        assert core.name == name and cores.find(name) is core
        if core.model:
            assert hasattr(unicorn.arm_const, core.model)


def test_instructions_of_both_lengths_are_counted():
    assert cores.count_thumb(bytes.fromhex("00bf 7047")) == 2
    assert cores.count_thumb(bytes.fromhex("f0f7fefa 00bf 4ff00100")) == 3  # bl, nop, mov.w
    assert cores.count_riscv(bytes.fromhex("0100 8280")) == 2
    assert cores.count_riscv(bytes.fromhex("b7050020 0545 3305a502")) == 3  # lui, c.li, mul
    assert cores.count_thumb(b"") == cores.count_riscv(b"") == 0


def test_unknown_names_are_refused():
    with pytest.raises(InvalidArgumentError, match=r"`core` must be one of .*'rv32imc'.*'rv32imc_zbb'"):
        cores.find("rv32imc_zbb")
    with pytest.raises(InvalidArgumentError, match=r"`compiler` must be one of .*'clang'"):
        cores.command(cores.find("rv32imc"), "clang", ["a.c"], "a.elf")


@pytest.mark.parametrize("name", ["cortex-m0", "rv32imc"])
def test_a_gcc_that_is_not_installed_is_named_with_its_package(monkeypatch, name):
    family = cores.find(name).family
    monkeypatch.setattr(shutil, "which", lambda command: None)
    with pytest.raises(ToolError, match=f"{family.gcc} on the PATH.*apt-get install {family.package}.*zig"):
        cores.command(cores.find(name), "gcc", ["a.c"], "a.elf")
    artifact = tiny()
    with pytest.raises(ToolError, match=family.gcc):
        emulator.selftest(artifact, name, "gcc")
    assert emulator.selftest(artifact, name, "zig") == 0


def test_floats_are_software_on_every_core():
    artifact = tiny()
    for name, core in cores.CORES.items():
        symbols = emulator.Image([artifact], name, ["tiny_run"]).symbols
        assert ("__aeabi_fmul" if core.family.name == "ARM" else "__mulsf3") in symbols, name
