"""What a network takes on a microcontroller."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one network takes on one core.

    Attributes:
        core, compiler: Names, as given to `emulator.cost`.
        instructions: Executed by one run, on the first input; those of an IT block count even
            if their condition fails, as they take their cycle.
        code_bytes, data_bytes: Flash that run and argmax need, software floats included, and
            their constants. `weight_bytes` of the constants are weights (the share that the
            compiler may have put into the code included), `table_bytes` the others.
        scratch_bytes: The caller's buffer.
        stack_bytes: High-water mark of that run.
        layers: ((the layer's line in the header, instructions), ...), counted in an image of
            its own: see `emulator.cost`. Empty where it was not asked for.

    Example:

    >>> print(Cost("rv32imc", 1300, 700, 60, 96, 48, "zig", 40, (("dense1 a", 1200), ("affine2 b", 90))))
    rv32imc, zig -O2
      instructions          1,300
        dense1              1,200  93.0 %
        affine2                90   7.0 %
      flash                   760 bytes
        code                  700
        weights                40
        other tables           20
      scratch                  96 bytes
      stack                    48 bytes
    """

    core: str
    instructions: int
    code_bytes: int
    data_bytes: int
    scratch_bytes: int
    stack_bytes: int
    compiler: str = "zig"
    weight_bytes: int = 0
    layers: tuple[tuple[str, int], ...] = ()

    @property
    def flash_bytes(self) -> int:
        """Code and constants together."""
        return self.code_bytes + self.data_bytes

    @property
    def table_bytes(self) -> int:
        """Constants that are no weights: thresholds, scales, shapes, and those of software floats."""
        return max(self.data_bytes - self.weight_bytes, 0)

    def __str__(self):
        total = sum(count for _, count in self.layers)
        lines = [f"{self.core}, {self.compiler} -O2", _line("  instructions", self.instructions)]
        for note, count in self.layers:
            lines.append(f"{_line('    ' + note.split()[0], count)}{count / total:8.1%}".replace("%", " %"))
        lines += [
            _line("  flash", self.flash_bytes) + " bytes",
            _line("    code", self.code_bytes),
            _line("    weights", self.weight_bytes),
            _line("    other tables", self.table_bytes),
            _line("  scratch", self.scratch_bytes) + " bytes",
            _line("  stack", self.stack_bytes) + " bytes",
        ]
        return "\n".join(lines)


def _line(what, number) -> str:
    return f"{what:<16}{number:>13,}"
