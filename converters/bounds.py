"""Does every offset of a flatbuffer stay inside its file? Asked before anybody follows one.

The schema classes (and TFLite Micro) trust what they read: a vtable, vector or string that
points outside crashes, reads other memory or asks for gigabytes. `check` walks a file as the
Verifier of FlatBuffers' C++ library does, by the published format: a table starts with the
signed distance to its vtable; a vtable is 16-bit words (its size, the table's size, then one
place a field, 0 for a field that is absent); a vector is a 32-bit length and its elements; a
string is a vector of bytes and a zero byte; all little-endian and aligned to their own size.
Sources: https://flatbuffers.dev/internals/ and include/flatbuffers/verifier.h.

There is no copy of the schema here: what fields a table has is asked of the schema classes
themselves, by calling their accessors on a table that only takes notes.
"""

import dataclasses
import functools
import inspect
import struct

from keras_gxnor.errors import ModelFileError

# Flatbuffers count in signed 32 bits.
MAX_BYTES = (1 << 31) - 1
# As in the C++ verifier. The schema itself nests 6 deep: this is a fuse for a later one.
_MAX_DEPTH = 64
# Models of today have some ten thousand; each costs the reader microseconds.
_MAX_TABLES = 1 << 18
# Vectors and strings may be shared by tables, which files do to save space. A hostile file
# shares one huge string thousands of times: what a reader would unpack is bounded.
_SHARING = 8
_SHARING_FREE = 1 << 16
# Unions whose enum is not called as the field.
_ENUMS = {
    "Details": "QuantizationDetails",
    "ArraySegments": "SparseIndexVector",
    "ArrayIndices": "SparseIndexVector",
}


@dataclasses.dataclass(frozen=True)
class _Field:
    """One field of a table.

    Attributes:
        name: As the accessor is called.
        vector: Whether it is a vector of what follows.
        width: Bytes of the scalar (also in a vector), 4 for an offset.
        kind: `"scalar"`, `"string"`, `"union"`, or the schema class of a table.
    """

    name: str
    vector: bool
    width: int
    kind: object

    @property
    def inline(self) -> int:
        """Bytes the field has in its table: a vector leaves an offset there."""
        return 4 if self.vector else self.width


def check(data: bytes, root, schema, identifier: bytes):
    """Refuses a flatbuffer that leads anywhere outside itself.

    Args:
        data: The file.
        root: Schema class of the root table.
        schema: The module of the schema classes, for the members of unions.
        identifier: Bytes 4 to 7 of such files.

    Raises:
        ModelFileError: naming the table or field, and what is wrong with it.
    """
    if not 8 < len(data) <= MAX_BYTES:
        raise ModelFileError(
            f"A flatbuffer has 9 to {MAX_BYTES:,} bytes. Received: {len(data):,} bytes"
        )
    if data[4:8] != identifier:
        raise ModelFileError(
            f"Bytes 4 to 7 of the file must be {identifier!r}. Received: {bytes(data[4:8])!r}"
        )
    walk = _Walk(data, schema)
    walk.table(walk.target(0, "root"), root, root.__name__, 1)


class _Walk:
    """One pass over a file: `table` follows everything that a table leads to."""

    def __init__(self, data, schema):
        self.data, self.size, self.schema = data, len(data), schema
        self.tables, self.content = 0, 0

    def fail(self, where, problem):
        raise ModelFileError(f"The file is corrupt or truncated: {where} {problem}")

    def room(self, start, length, width, where):
        """Checks that `length` bytes at `start` lie in the file, aligned to `width`."""
        if start < 0 or length > self.size - start:
            self.fail(
                where, f"must lie in bytes 0 to {self.size - 1}. Received: {length} bytes at {start}"
            )
        if start % width:
            self.fail(where, f"must be aligned to {width} bytes. Received: a place at byte {start}")

    def number(self, start, form, where):
        width = struct.calcsize(form)
        self.room(start, width, width, where)
        return struct.unpack_from(form, self.data, start)[0]

    def target(self, start, where):
        """Where the unsigned offset at `start` leads: forward, and not to itself."""
        offset = self.number(start, "<I", where)
        if not 0 < offset <= self.size - start - 1:
            self.fail(where, f"must lead forward inside the file. Received: offset {offset} at {start}")
        return start + offset

    def table(self, start, kind, where, depth):
        """Checks a table of the schema class `kind`, and all that it leads to."""
        self.tables += 1
        # Each table has an offset of 4 bytes that leads to it, unless tables are shared inside
        # shared tables: that is how a small file unfolds into billions.
        if depth > _MAX_DEPTH or self.tables > min(_MAX_TABLES, self.size // 4):
            self.fail(where, f"is one table too many. Received: table {self.tables}, depth {depth}")
        vtable = start - self.number(start, "<i", where)
        span = self.number(vtable, "<H", f"the vtable of {where}")
        self.room(vtable, span, 2, f"the vtable of {where}")
        if span < 4 or span % 2:
            self.fail(f"the vtable of {where}", f"must have 4, 6, 8... bytes. Received: {span}")
        _, length, *places = struct.unpack_from(f"<{span // 2}H", self.data, vtable)
        self.room(start, length, 1, where)
        fields = _layout(kind)
        for i in range(min(len(places), len(fields))):
            field = fields[i]
            if places[i] and field:  # a field that the schema has dropped is never read
                name = f"{where}.{field.name}"
                if places[i] < 4 or places[i] + field.inline > length:
                    problem = f"must lie in bytes 4 to {length - 1} of its table. Received: {places[i]}"
                    self.fail(name, problem)
                before = places[i - 1] if i else 0
                self.field(start + places[i], field, name, depth, before and start + before)

    def field(self, place, field, where, depth, type_place):
        """Checks one field; `type_place`: where the member of a union is told, 0 if nowhere."""
        self.room(place, field.inline, field.inline, where)
        if field.vector:
            self.vector(self.target(place, where), field, where, depth)
        elif field.kind == "string":
            self.string(self.target(place, where), where)
        elif field.kind == "union":
            start = self.target(place, where)
            kind = _members(self.schema, field.name).get(self.data[type_place] if type_place else 0)
            if kind:  # a member that the schema does not know yet is never read
                self.table(start, kind, f"{where}({kind.__name__})", depth + 1)
        elif field.kind != "scalar":
            self.table(self.target(place, where), field.kind, where, depth + 1)

    def vector(self, start, field, where, depth):
        count = self.span(start, field.width, where)
        if field.kind == "scalar":
            return
        for i in range(count):
            element = f"{where}[{i}]"
            goal = self.target(start + 4 + 4 * i, element)
            if field.kind == "string":
                self.string(goal, element)
            else:
                self.table(goal, field.kind, element, depth + 1)

    def string(self, start, where):
        end = start + 4 + self.span(start, 1, where)
        self.room(end, 1, 1, f"the end of {where}")
        if self.data[end]:
            self.fail(where, f"must end in a zero byte. Received: {self.data[end]} at byte {end}")

    def span(self, start, width, where):
        """Checks a length and its elements, and returns the length."""
        count = self.number(start, "<I", where)
        self.room(start + 4, count * width, 1, where)
        self.content += count * width
        if self.content > _SHARING * self.size + _SHARING_FREE:
            self.fail(where, f"shares vectors too often. Received: {self.content:,} bytes unpacked")
        return count


class _Notes:
    """Stands in for `flatbuffers.table.Table`: records what an accessor asks for."""

    Bytes, Pos = b"", 0

    def __init__(self):
        self.slot, self.width, self.vector, self.kind = None, 4, False, None

    def Offset(self, slot):
        self.slot = slot
        return 1  # not 0: the field is there

    def Get(self, flags, place):
        self.width, self.kind = flags.bytewidth, "scalar"
        return 0

    def String(self, place):
        self.kind = "string"
        return b""

    def Vector(self, place):
        self.vector = True
        return 0

    def Indirect(self, place):
        return place

    def Union(self, table, place):
        self.kind = "union"


@functools.cache
def _layout(kind) -> tuple:
    """The fields of a table by their place in the vtable; None for one without accessor."""
    fields, methods = {}, vars(kind)
    for name, method in methods.items():
        stems = [name.removesuffix(end) for end in ("Length", "IsNone", "AsNumpy") if name.endswith(end)]
        helper = name.startswith("_") or name == "Init" or any(stem in methods for stem in stems)
        if helper or not inspect.isfunction(method):
            continue
        table, notes = kind(), _Notes()
        table._tab = notes
        result = method(table, *[0] * (method.__code__.co_argcount - 1))
        found = notes.kind or type(result)
        fields[(notes.slot - 4) // 2] = _Field(name, notes.vector, notes.width, found)
    return tuple(fields.get(i) for i in range(max(fields, default=-1) + 1))


@functools.cache
def _members(schema, union) -> dict:
    """{number: schema class} of a union."""
    enum = getattr(schema, _ENUMS.get(union, union))
    return {n: getattr(schema, name) for name, n in vars(enum).items() if isinstance(n, int) and n}
