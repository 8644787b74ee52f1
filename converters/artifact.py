"""What a back end makes: named files in memory, written all together or not at all."""

import dataclasses
import os
import pathlib
import shutil
import tempfile

from keras_gxnor.errors import ArtifactError
from keras_gxnor.graph import Graph, InputSpec


@dataclasses.dataclass(frozen=True, eq=False)
class Artifact:
    """Generated files, and the graph they must compute.

    Attributes:
        target: The back end, `"tflite"`, `"tflm"`, `"c"` or `"library"`.
        name: A C identifier: the stem of the files and the prefix of C symbols.
        graph: The graph the files were made from, as lowered (not rewritten).
        files: {relative path: bytes}; the first file is the one a user needs.
        sizes: {what: bytes}, numbers known at export, such as `"weights"`.
        input_spec: What the device feeds a model with its Rescaling layers, if it was made
            from a Keras model (the graph's own spec has them folded in).
        runs_on: The only back ends of `verify` that can run the files; None: all of the target.
        inputs, outputs: What a .tflite takes and gives: see `tflite.emit`.
        notes: Of a C header, what its list of layers says of each, in order.
    """

    target: str
    name: str
    graph: Graph
    files: dict[str, bytes]
    sizes: dict[str, int] = dataclasses.field(default_factory=dict)
    input_spec: InputSpec | None = None
    runs_on: tuple[str, ...] | None = None
    inputs: str = "codes"
    outputs: str = "float32"
    notes: tuple[str, ...] = ()

    def __repr__(self):
        sizes = ", ".join(f"{what} {size:,}" for what, size in self.summary().items())
        return f"Artifact({self.name!r}, {self.target!r}; bytes: {sizes})"

    @property
    def main(self) -> bytes:
        """The bytes of the first file (the `.tflite` or the `.h`)."""
        return next(iter(self.files.values()))

    def summary(self) -> dict[str, int]:
        """{file: its real size in bytes}, then `sizes`."""
        return {**{path: len(data) for path, data in self.files.items()}, **self.sizes}

    def write(self, folder, force: bool = False) -> list[pathlib.Path]:
        """Writes the files below `folder` (made if missing), each atomically.

        All files are first written whole beside their place and then renamed, so a
        full disk or a crash leaves the old files or none, never half a file.

        Args:
            folder: Path of the folder.
            force: Whether files that exist already may be replaced.

        Returns:
            The paths written, in the order of `files`.

        Raises:
            ArtifactError: if a path leaves `folder`, a file exists (without `force`),
                or the system refuses.
        """
        root, stage, done = pathlib.Path(folder), None, []
        try:
            places = [_inside(root, path) for path in self.files]
            taken = [str(place) for place in places if place.exists()]
            if taken and not force:
                raise ArtifactError(
                    f"Would overwrite {', '.join(taken)}. Pass force=True to replace, "
                    "or choose another folder."
                )
            folders = [str(place) for place in places if place.is_dir()]
            if folders:
                raise ArtifactError(f"{', '.join(folders)} are folders. Remove them, or choose another.")
            root.mkdir(parents=True, exist_ok=True)
            stage = pathlib.Path(tempfile.mkdtemp(prefix=".gxnor-", dir=root))
            for number, data in enumerate(self.files.values()):
                _write_synced(stage / str(number), data)
            for number, place in enumerate(places):
                place.parent.mkdir(parents=True, exist_ok=True)
                os.replace(stage / str(number), place)
                done.append(str(place))
        except ArtifactError:  # our own, which is an OSError too
            raise
        except OSError as error:
            left = f"Replaced already: {', '.join(done)}" if done else "Nothing was left half-written"
            raise ArtifactError(f"Could not write `{self.name}` to {root}: {error}. {left}.") from error
        finally:
            if stage is not None:
                shutil.rmtree(stage, ignore_errors=True)
        return places


def _write_synced(path: pathlib.Path, data: bytes):
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _inside(root: pathlib.Path, path: str) -> pathlib.Path:
    """`root / path`, refused if it is absolute or climbs out of `root`."""
    place = (root / path).resolve()
    if pathlib.PurePath(path).is_absolute() or not place.is_relative_to(root.resolve()):
        raise ArtifactError(f"A generated file must stay inside {root}. Received: {path!r}")
    return root / path
