"""Builds keras_gxnor. `converters/` beside the package is installed as keras_gxnor.converters."""

import pathlib
import re

from setuptools import setup

HERE = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+?)"', (HERE / "keras_gxnor/version.py").read_text())[1]

EXTRAS = {
    "export": ["ai-edge-litert>=2.1", "flatbuffers>=24", "jinja2>=3.1"],
    "cli": ["click>=8.1", "rich>=13"],
    "report": ["click>=8.1", "matplotlib>=3.9", "rich>=13"],
    # tflite-micro has only pre-releases; this one is pinned because it judges exactness.
    "mcu": ["tflite-micro==0.dev20261023182759", "ziglang>=0.14", "unicorn>=2.1", "pyelftools>=0.31"],
    # tensorflow-model-optimization knows Keras 2 only, which today is the package tf_keras.
    "tfmot": ["tensorflow-model-optimization>=0.8.1", "tf_keras>=2.21"],
    "dev": [
        # cmake, Kconfiglib, platformio and idf-component-manager judge the libraries of target "library".
        "cmake>=3.16",
        "hypothesis>=6.100",
        "idf-component-manager>=3.1",
        "import-linter>=2.1",
        "kconfiglib>=14.1",
        "platformio>=6.1",
        "pytest>=8",
        "pytest-xdist>=3.6",
        "ruff>=0.9",
        "scikit-learn>=1.5",
        "setuptools>=68",
        "wheel",
    ],
}

setup(
    name="keras_gxnor",
    version=VERSION,
    description="Ternary networks in Keras without float weights, exported exactly to TFLite and C",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0 AND 0BSD",
    license_files=["LICENSE", "LICENSE-0BSD"],
    python_requires=">=3.11",
    packages=[
        "keras_gxnor",
        "keras_gxnor.callbacks",
        "keras_gxnor.conversion",
        "keras_gxnor.converters",
        "keras_gxnor.increments",
        "keras_gxnor.interop",
        "keras_gxnor.lowering",
        "keras_gxnor.layers",
        "keras_gxnor.tfmot",
    ],
    package_dir={"keras_gxnor.converters": "converters"},
    package_data={"keras_gxnor.converters": ["instructions.json", "runtime/*.h", "templates/*.j2"]},
    install_requires=["tensorflow>=2.21", "keras>=3.15", "numpy>=1.26"],
    extras_require=EXTRAS,
)
