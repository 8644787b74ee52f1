"""The table of decisions: which layer becomes what, and why."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Decision:
    """One row.

    Attributes:
        layer: Name of the layer.
        was: Class of the layer with its activation; "" of an inserted layer.
        becomes: What it is now; "" of a layer that is gone.
        why: The reason.
    """

    layer: str
    was: str
    becomes: str
    why: str


@dataclasses.dataclass(frozen=True)
class Table:
    """All decisions of a conversion in the order of the model; `str()` gives a table.

    Attributes:
        rows: The `Decision`s.
    """

    rows: tuple[Decision, ...]

    def __getitem__(self, name) -> Decision:
        """The row of the layer `name`."""
        return next(row for row in self.rows if row.layer == name)

    @property
    def left(self) -> tuple[Decision, ...]:
        """The rows of layers that stay float: the model cannot be lowered with them."""
        return tuple(row for row in self.rows if row.becomes == LEFT)

    @property
    def inserted(self) -> tuple[Decision, ...]:
        """The rows of layers that the model did not have."""
        return tuple(row for row in self.rows if not row.was)

    def __str__(self):
        cells = [("layer", "was", "becomes", "why"), *map(dataclasses.astuple, self.rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(3)]
        lines = [
            "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[3]]).rstrip()
            for row in cells
        ]
        return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


LEFT = "(left)"
