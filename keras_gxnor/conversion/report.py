"""What a conversion decided, layer by layer, as a table."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Decision:
    """What became of one layer.

    Attributes:
        layer: Name of the layer.
        source: What it was.
        result: What it became; empty if it was left out.
        note: What changed, or how the numbers were made.
        exact: Whether the layer computes what its source did (but for the order of float
            roundings).
    """

    layer: str
    source: str
    result: str
    note: str = ""
    exact: bool = True


@dataclasses.dataclass(frozen=True)
class Report:
    """The decisions of a conversion, in the order of the layers; `str` makes a table of them.

    Attributes:
        decisions: Tuple of `Decision`.

    Example:

    >>> from keras_gxnor.conversion.report import Decision, Report
    >>> print(Report((Decision("d", "Dense", "GXNORDense", "scale 0.5"),)))
    layer | was   | is         | exact | note
    d     | Dense | GXNORDense | yes   | scale 0.5
    """

    decisions: tuple[Decision, ...]

    @property
    def exact(self) -> bool:
        """Whether every layer is."""
        return all(decision.exact for decision in self.decisions)

    def __str__(self):
        rows = [("layer", "was", "is", "exact", "note")]
        for d in self.decisions:
            rows.append((d.layer, d.source, d.result or "-", "yes" if d.exact else "no", d.note))
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = (" | ".join(cell.ljust(n) for cell, n in zip(row, widths)).rstrip(" |") for row in rows)
        return "\n".join(lines)
