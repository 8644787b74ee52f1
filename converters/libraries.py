"""Graph -> a folder that is a library of Arduino, PlatformIO, ESP-IDF, Zephyr and CMake at once.

The network is the header of `c_source.py`, to the byte, which works alone as well. Around it
are one C file that compiles it, examples, and the manifest that each of the systems reads.
"""

import dataclasses
import inspect
import json
import re

from keras_gxnor import graph as g
from keras_gxnor.converters import c_source
from keras_gxnor.converters.artifact import Artifact
from keras_gxnor.converters.names import comment
from keras_gxnor.converters.text import float_literal, template
from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.version import __version__

_VERSION = re.compile(r"(0|[1-9]\d{0,4})(\.(0|[1-9]\d{0,4})){2}", re.ASCII)
_URL = "https://arxiv.org/abs/1705.09283"  # Arduino demands one
_MORE = "Exact integer sums, no malloc, no libc, and a self-test. Made from a Keras model by keras_gxnor."
_SCHEMA = "https://raw.githubusercontent.com/platformio/platformio-core/develop/platformio/assets/schema/library.json"
# {path: (template, what it is for)}, after the header; `{}` is the name.
_FILES = {
    "src/{}.c": ("source.c", "Compiles the header."),
    "examples/{0}_demo/{0}_demo.ino": ("demo.ino", "Example for Arduino."),
    "examples/main.c": ("main.c", "Example for everything else."),
    "library.properties": ("properties", "For Arduino."),
    "keywords.txt": (None, "Colours of the Arduino editor."),
    "library.json": (None, "For PlatformIO."),
    "CMakeLists.txt": ("cmake", "For CMake, ESP-IDF and Zephyr."),
    "idf_component.yml": ("component.yml", "For the component manager of ESP-IDF."),
    "zephyr/module.yml": ("module.yml", "For Zephyr."),
    "zephyr/Kconfig": ("kconfig", "For Zephyr."),
    "LICENSE": ("license", "0BSD."),
    "README.md": ("readme.md", "This text."),
}


def emit(graph: g.Graph, name: str, *, version: str = "1.0.0", **options) -> Artifact:
    """Makes the C of a graph and what Arduino, PlatformIO, ESP-IDF, Zephyr and CMake want around it.

    Args:
        graph: As `c_source.emit` takes it.
        name: What to call it, any string: made a C identifier, it names the sources and
            begins every symbol. The library is called `gxnor_{name}` in every system.
        version: Three numbers of up to five digits, `"major.minor.patch"`, for the manifests.
        **options: Those of `c_source.emit`.

    Returns:
        An `Artifact` whose files are the content of the library's folder, the same bytes for
        the same graph. The first is `src/{name}.h`, the header that `c_source.emit` makes;
        `sizes` are as there.

    Raises:
        InvalidArgumentError: if `version` is not such a string.
        UnsupportedGraphError, GraphError, MissingExtraError: as `c_source.emit`.
    """
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise InvalidArgumentError(
            "`version` must be three numbers of up to five digits, such as '1.0.0', because Arduino, "
            f"PlatformIO and ESP-IDF all have to take it. Received: version={version!r}"
        )
    base = c_source.emit(graph, name, **options)
    files = {f"src/{path}": data for path, data in base.files.items()}
    fields = _fields(base, version)
    made = {"keywords.txt": _keywords(base), "library.json": _library_json(fields)}
    for path, (source, _) in _FILES.items():
        text = template(f"library_{source}.j2").render(**fields) if source else made[path]
        files[path.format(base.name)] = text.encode("ascii")
    return dataclasses.replace(base, target="library", files=files)


def _signature() -> inspect.Signature:
    """That of `emit` with the options of `c_source.emit` by name, so that `convert` can check them."""
    *own, _ = inspect.signature(emit).parameters.values()
    of_c = list(inspect.signature(c_source.emit).parameters.values())[2:]
    return inspect.Signature([*own[:2], *of_c, *own[2:]], return_annotation=Artifact)


emit.__signature__ = _signature()


def _fields(base, version) -> dict:
    """What the templates say."""
    prefix = base.name
    inputs, outputs = c_source.ends(base.graph)
    for end, entry in zip(inputs, base.graph.inputs):
        zero, scale = entry.spec.zero_point, float_literal(entry.spec.scale).rstrip("f")
        end["codes"] = f"{scale} * (q {'-' if zero >= 0 else '+'} {abs(zero)})"
    purposes = {f"src/{prefix}.h": "The network."}
    purposes |= {path.format(prefix): purpose for path, (_, purpose) in _FILES.items()}
    return {
        "maker": __version__,
        "version": version,
        "package": f"gxnor_{prefix}",
        "prefix": prefix,
        "macro": prefix.upper(),
        "title": comment(base.graph.name).replace("`", "'"),  # it stands between backticks
        "about": f"Ternary neural network {prefix} in plain C, {base.sizes['weights']} bytes of weights",
        "more": _MORE,
        "url": _URL,
        "inputs": inputs,
        "outputs": outputs,
        "passes": ", ".join(end["name"] for end in [*inputs, *outputs]),
        "sizes": base.sizes,
        "files": list(purposes.items()),
    }


def _keywords(base) -> str:
    """The functions and constants that the header declares, for Arduino's editor: tabs between."""
    text, macro = base.main.decode("ascii"), base.name.upper()
    public = text[: text.index(f"#endif /* {macro}_H */")]
    functions = re.findall(rf"^\w+ ({base.name}_\w+)\(", public, re.MULTILINE)
    constants = re.findall(rf"^#define ({macro}_\w+) \S", public, re.MULTILINE)
    lines = [f"{word}\tKEYWORD2" for word in functions] + [f"{word}\tLITERAL1" for word in constants]
    return "\n".join(lines) + "\n"


def _library_json(fields) -> str:
    """The manifest of PlatformIO."""
    demo = f"{fields['prefix']}_demo"
    manifest = {
        "$schema": _SCHEMA,
        "name": fields["package"],
        "version": fields["version"],
        "description": f"{fields['about']}. {fields['more']}",
        "keywords": ["neural network", "ternary", "inference"],
        "homepage": fields["url"],
        "authors": [{"name": "keras_gxnor"}],
        "license": "0BSD",
        "frameworks": "*",
        "platforms": "*",
        "headers": f"{fields['prefix']}.h",
        "examples": [{"name": demo, "base": f"examples/{demo}", "files": [f"{demo}.ino"]}],
    }
    return json.dumps(manifest, indent=2) + "\n"
