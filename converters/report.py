"""What `verify` found, and how it is printed."""

import dataclasses

from keras_gxnor.converters.cost import Cost


@dataclasses.dataclass(frozen=True)
class Report:
    """What `verify` found.

    Attributes:
        mismatches: {back end: samples with a logit that differs from Keras}.
        class_mismatches: {back end: samples with another class than Keras}.
        images: {back end: samples compared}.
        input: How codes q enter Keras, in words. `verify` cannot know whether your data was
            scaled like this when the model was trained: look at it, or pass `labels`.
        accuracy: Share of samples whose class is the label, if `verify` was given labels.
        border: Samples on which plain Keras differs from Keras with exact sums in the kernels
            that read inputs whose scale, or averages whose size, is no power of two. There
            Keras' own float32 sums carry rounding, which shows in logits made at once, or when
            a sum lies at the very border of a threshold. All back ends are compared with the
            exact sums then (with plain Keras, if rounding cannot explain the difference).
        cost: What the emulated C needs (instructions, flash, scratch, stack), if it ran.
        omitted: Back ends that did not run, because they cannot run this artifact
            (`Artifact.runs_on`): nothing is known about them.
    """

    mismatches: dict[str, int]
    class_mismatches: dict[str, int]
    images: dict[str, int]
    input: str = ""
    accuracy: float | None = None
    border: int = 0
    cost: Cost | None = None
    omitted: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether something was compared, and nothing differed."""
        return bool(self.images) and min(self.images.values()) > 0 and not any(
            self.mismatches.values()
        )

    def __str__(self):
        lines = [f"{'back end':<18}{'images':>8}{'other logits':>15}{'other class':>16}"]
        for name, count in self.mismatches.items():
            lines.append(
                f"{name:<18}{self.images[name]:>8}{count:>15}{self.class_mismatches[name]:>16}"
            )
        if self.omitted:
            lines.append(f"not run, as they cannot run this artifact: {', '.join(self.omitted)}")
        if self.border:
            lines.append(
                f"border: plain Keras differs on {self.border} sample(s), because it rounds its own sums of "
                "inputs or averages whose unit is no power of two; compared with exact sums here"
            )
        lines.append(self.input)
        if self.accuracy is not None:
            lines.append(f"accuracy on these codes: {100 * self.accuracy:.2f} %")
        lines.append(
            "equal to Keras in every logit" + (" (with exact sums)" if self.border else "")
            if self.ok
            else "NOT equal to Keras (was the model trained further, or is this another model's?)"
        )
        return "\n".join(filter(None, lines))

    __repr__ = __str__
