"""What judges the manifests of a library's folder: each system's own tool, where PyPI has it.

Each function raises if the folder is not what the system takes.
"""

import re
import tarfile

import kconfiglib
import yaml
from idf_component_tools.manager import ManifestManager, UploadMode
from idf_component_tools.manifest.models import Manifest
from packaging.licenses import canonicalize_license_expression
from platformio.package.manifest.schema import ManifestSchema
from platformio.package.pack import PackagePacker

# https://arduino.github.io/arduino-cli/latest/library-specification, as arduino-lint checks it.
CATEGORIES = (
    "Display, Communication, Signal Input/Output, Sensors, Device Control, Timing, Data Storage, "
    "Data Processing, Other"
).split(", ")
REQUIRED = "name version author maintainer sentence paragraph category url architectures".split()
OPTIONAL = "depends dot_a_linkage includes precompiled ldflags license".split()
NAME = re.compile(r"(?=.*[a-zA-Z])(?!arduino)[a-zA-Z0-9][a-zA-Z0-9 _.-]{0,62}", re.IGNORECASE)
KEYWORD = re.compile(r"([A-Za-z_]\w*)\t(KEYWORD[123]|LITERAL[12])")


class BrokenManifest(AssertionError):
    """A manifest that our own checks refuse."""


def expect(holds, message):
    if not holds:
        raise BrokenManifest(message)


def paths(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def platformio(folder, patch):
    """What `pio pkg pack` does; only the list of licences, which it downloads, is that of `packaging`."""
    licence = canonicalize_license_expression("0BSD")
    patch.setattr(ManifestSchema, "load_spdx_licenses", lambda self: {"licenses": [{"licenseId": licence}]})
    with tarfile.open(PackagePacker(str(folder)).pack(str(folder.parent / "packed.tar.gz"))) as tar:
        expect(set(tar.getnames()) == paths(folder), f"packed: {tar.getnames()}")


def espressif(folder, name):
    """ESP-IDF's component manager, as before an upload."""
    manager = ManifestManager(folder, name, upload_mode=UploadMode.component).validate()
    expect(manager.is_valid, manager.validation_errors)
    unknown = set(yaml.safe_load((folder / "idf_component.yml").read_text())) - set(Manifest.model_fields)
    expect(not unknown, f"the manager ignores {unknown}")
    return manager.load()


def kconfig(folder, patch):
    """{symbol: prompt} of Zephyr's Kconfig, read by kconfiglib with warnings as errors."""
    patch.setenv("KCONFIG_WARN_UNDEF", "y")
    parsed = kconfiglib.Kconfig(folder / "zephyr" / "Kconfig", warn_to_stderr=False)
    expect(not parsed.warnings, parsed.warnings)
    return {name: symbol.nodes[0].prompt[0] for name, symbol in parsed.syms.items() if symbol.nodes}


def zephyr(folder):
    """What zephyr_module.py demands of the keys used here (its schema is in no package)."""
    module = yaml.safe_load((folder / "zephyr" / "module.yml").read_text())
    expect(set(module) == {"name", "build"} and set(module["build"]) == {"cmake", "kconfig"}, module)
    expect(re.fullmatch("[a-z0-9_]+", module["name"]), module)
    expect((folder / module["build"]["cmake"] / "CMakeLists.txt").is_file(), module)
    expect((folder / module["build"]["kconfig"]).is_file(), module)
    return module["name"]


def arduino(folder):
    """library.properties by Arduino's specification, the folders of src and examples, keywords.txt."""
    lines = (folder / "library.properties").read_text("ascii").splitlines()
    expect(all(re.fullmatch(r"[a-z_]+=\S.*", line) for line in lines), lines)
    fields = dict(line.split("=", 1) for line in lines)
    expect(len(fields) == len(lines) and set(REQUIRED) <= set(fields) <= {*REQUIRED, *OPTIONAL}, fields)
    expect(NAME.fullmatch(fields["name"]), fields["name"])
    expect(re.fullmatch(r"\d+\.\d+\.\d+", fields["version"]), fields["version"])
    expect(fields["category"] in CATEGORIES, fields["category"])
    expect(not fields["maintainer"].lower().startswith("arduino"), fields["maintainer"])
    expect(re.fullmatch(r"https?://\S+", fields["url"]), fields["url"])
    expect((folder / "src" / fields["includes"]).is_file(), fields["includes"])
    sketches = list((folder / "examples").glob("*/*.ino"))
    expect(sketches and all(path.stem == path.parent.name for path in sketches), sketches)
    expect(all(re.fullmatch(r"\w[\w.-]{0,62}", path.stem) for path in sketches), sketches)
    _keywords(folder, (folder / "src" / fields["includes"]).read_text("ascii"))
    return fields


def _keywords(folder, header):
    for line in (folder / "keywords.txt").read_text("ascii").splitlines():
        match = KEYWORD.fullmatch(line)
        expect(match, line)
        expect(re.search(rf"\b{match[1]}\b", header), f"no {match[1]} in the header")
