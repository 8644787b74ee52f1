"""A ternary keyword spotter from sound to word: train, export, verify, run in C.

    python examples/keywords.py                                     # made-up words, nothing to download
    python examples/keywords.py --data speech_commands --words yes,no,up,down,stop,go

The default words are made up and synthesized by NumPy (`keyword_spotter/words.py`): they show that all of it
works, and are no measure for speech. --data takes a folder of wav files (mono, 16 bits, 16 kHz), one
sub-folder a word, the layout of Google's Speech Commands.

Sound becomes 64 x 32 log-mel features in integer arithmetic, defined once in NumPy
(`keyword_spotter/log_mel.py`) and once in C (`keyword_spotter/log_mel.h`): the same samples give the same
bytes. The network is a first convolution, then depthwise and pointwise ones, all ternary.

A float net with ReLUs is trained first; `keras_gxnor.discretize` makes the ternary net of it, which is
trained as long again. `--scratch` starts it at random, to compare.

What is written to --out, for a device and for a computer:

    keywords.h       the network
    log_mel.h        the features
    spotter.h        both in one call: samples in, word out
    words.h          the words
    main.c           a program that says which word is in a wav file: cc -std=c99 main.c -o spot
    keywords.tflite  the network for LiteRT and TFLite Micro
    report.json      all numbers
"""

import pathlib
import sys

import click
import keras

import keras_gxnor

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from common import (
    block,
    console,
    discretized,
    given,
    kind,
    options,
    quicker,
    save,
    scaled,
    ship,
    show,
    train_twins,
)
from keyword_spotter import device, words
from keyword_spotter.log_mel import BANDS, FRAMES, log_mel

# x = (q - 128) / 128: a power of two, so that Keras' own float sums are exact.
SPEC = keras_gxnor.InputSpec(dtype="uint8", scale=1 / 128, zero_point=128)
CLIPS, HELD_OUT = 4000, 1000


def build(classes, discrete=True):
    """The ternary net, or the same net in float32 with ReLU."""
    conv = kind(discrete, keras_gxnor.GXNORConv2D, keras.layers.Conv2D)
    depthwise = kind(discrete, keras_gxnor.GXNORDepthwiseConv2D, keras.layers.DepthwiseConv2D)
    dense = kind(discrete, keras_gxnor.GXNORDense, keras.layers.Dense)
    same = {"padding": "same", "use_bias": False}
    layers = block(conv(64, 5, strides=2, **same), discrete=discrete)
    for filters, strides in ((64, 2), (128, 2)):
        layers += block(depthwise(5, strides=strides, **same), discrete=discrete)
        layers += block(conv(filters, 1, **same), discrete=discrete)
    layers += [
        keras.layers.GlobalAveragePooling2D(),
        dense(classes, use_bias=False),
        keras.layers.BatchNormalization(momentum=0.9),
    ]
    return keras.Sequential([keras.Input((FRAMES, BANDS, 1)), *layers], name="keywords")


def data(folder, chosen, quick, seed):
    """(words, (train pcm, labels), (test pcm, labels))."""
    if folder:
        return words.read(folder, chosen and [name.strip() for name in chosen.split(",")])
    clips, held_out = (600, 100) if quick else (CLIPS, HELD_OUT)
    return words.WORDS, words.synthetic(clips, seed + 1), words.synthetic(held_out, seed + 2)


@click.command()
@click.option("--data", "folder", type=click.Path(exists=True, file_okay=False), help="Folder of wav files.")
@click.option("--words", "chosen", default=None, help="Sub-folders to take of it, with commas; default: all.")
@options(epochs=6, out="build/keywords")
def main(folder, chosen, epochs, seed, out, scratch, quick):
    """Trains, exports and verifies a keyword spotter, and runs it in C from samples to word."""
    with given("--data, --words"):
        names, *sounds = data(folder, chosen, quick, seed)
    console.print(f"features of {sum(len(pcm) for pcm, _ in sounds):,} clips of {len(names)} words")
    sets = [(log_mel(pcm)[..., None], labels) for pcm, labels in sounds]
    epochs, train_set, test_set, limits = quicker(quick, epochs, *sets)
    model, report = train_twins(
        lambda discrete: build(len(names), discrete),
        *(train_set, test_set, SPEC, epochs, 64, 0.1, seed, None if scratch else discretized),
    )
    console.rule("export and verify")
    report.update(ship(model, model.name, test_set[0], SPEC, out, limits))
    pcm = sounds[1][0][: len(test_set[0])]
    logits = model.predict(scaled(test_set[0], SPEC), verbose=0)
    report["device"] = device.check(out, names, pcm, logits, 5 if quick else 50)
    show(f"keywords, {'recordings' if folder else 'made-up words'}, {len(pcm):,} held-out clips", report)
    device.show(report["device"])
    save({"words": list(names), **report}, pathlib.Path(out) / "report.json")


if __name__ == "__main__":
    main()
