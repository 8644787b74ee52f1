"""Log-mel features in integer arithmetic: the reference in NumPy, and the tables of the same in C.

`log_mel` says what the features are; `log_mel.h` computes the same numbers, bit for bit, on a
microcontroller: a Hann window, an FFT of 512 real samples, the power of 242 bins, triangles on
the mel scale, eight times the logarithm to base 2 as a byte, less the mean of its band. Every sum has
a bound that int64 holds, so nothing overflows, whatever the samples are.
"""

import pathlib

import numpy as np

RATE = 16000
FRAME, HOP, FRAMES = 512, 240, 64  # samples: 32 ms every 15 ms, 64 of them
SAMPLES = FRAME + HOP * (FRAMES - 1)  # 0.977 s
BANDS = 32
LOWEST, HIGHEST = 60.0, 7600.0  # Hz
HALF = FRAME // 2
# Codes are 8 log2(energy) - OFFSET: a step is 0.38 dB. A sine of full scale has about 240, one of
# amplitude 2 about 18; silence has 0.
OFFSET = 240

_STEPS = 8  # codes an octave of energy
_HERE = pathlib.Path(__file__).resolve().parent


def _mel(hertz):
    return 2595 * np.log10(1 + hertz / 700)


def tables() -> dict[str, np.ndarray]:
    """The constants of the features, which C gets too.

    Returns:
        dict: `window`, int16, the first half of a Hann window times 2^15; `sine`, int16, that of
        2 pi k / 512 times 2^14 for k < 384; `band` and `rise`, uint8, for each bin from
        FIRST on: it lies between the centers of the bands `band` and `band` + 1, counted from 1,
        where the triangle of the second has risen to `rise` / 256 (one more entry ends the list);
        `log`, uint8, 8 log2(1 + i / 32).
    """
    centers = np.arange(FRAME // 2) + 0.5
    window = np.floor(np.sin(np.pi * centers / FRAME) ** 2 * 32768)
    sine = np.rint(np.sin(2 * np.pi * np.arange(384) / FRAME) * 16384)
    spacing = (_mel(HIGHEST) - _mel(LOWEST)) / (BANDS + 1)
    mel = (_mel(np.arange(HALF) * RATE / FRAME) - _mel(LOWEST)) / spacing
    inside = mel[(mel >= 0) & (mel < BANDS + 1)]
    return {
        "window": window.astype(np.int16),
        "sine": sine.astype(np.int16),
        "band": np.append(np.floor(inside), BANDS + 1).astype(np.uint8),
        "rise": np.append(np.floor(inside % 1 * 256), 0).astype(np.uint8),
        "log": np.floor(_STEPS * np.log2(1 + np.arange(32) / 32)).astype(np.uint8),
    }


_TABLES = {name: values.astype(np.int64) for name, values in tables().items()}
FIRST = int(np.ceil(LOWEST * FRAME / RATE))


def log_mel(pcm) -> np.ndarray:
    """Features of clips of sound.

    Args:
        pcm: int16 samples at 16 kHz, shape (clips, SAMPLES).

    Returns:
        uint8 of shape (clips, FRAMES, BANDS).

    Raises:
        ValueError: if `pcm` is of another type or shape.

    Example:

    >>> np.unique(log_mel(np.zeros((2, SAMPLES), np.int16)))
    array([128], dtype=uint8)
    """
    pcm = np.asarray(pcm)
    if pcm.dtype != np.int16 or pcm.ndim != 2 or pcm.shape[1] != SAMPLES:
        raise ValueError(f"Expected int16 (clips, {SAMPLES}). Received: {pcm.dtype} {pcm.shape}")
    starts = HOP * np.arange(FRAMES)[:, None] + np.arange(FRAME)
    parts = [frames(pcm[i : i + 32, starts].reshape(-1, FRAME)) for i in range(0, len(pcm), 32)]
    return _centered(np.concatenate(parts).reshape(len(pcm), FRAMES, BANDS))


def _centered(codes) -> np.ndarray:
    """What is above or below the mean of its band in the clip, around 128: loudness and hum are gone."""
    codes = codes.astype(np.int64)
    mean = _shifted(codes.sum(axis=1, keepdims=True), 6)
    return np.clip(codes - mean + 128, 0, 255).astype(np.uint8)


def frames(x) -> np.ndarray:
    """The codes of single frames: uint8 (n, BANDS) of int16 (n, FRAME)."""
    window = _TABLES["window"]
    x = _shifted(x * np.append(window, window[::-1]), 12)
    power = _power(*_transform(x[:, 0::2], x[:, 1::2]))
    band, rise = _TABLES["band"][:-1], _TABLES["rise"][:-1]
    power = power[:, FIRST : FIRST + len(band)]
    energy = np.zeros((BANDS + 2, len(x)), np.int64)
    np.add.at(energy, band, (power * (256 - rise)).T)
    np.add.at(energy, band + 1, (power * rise).T)
    return _logarithm(energy[1:-1].T)


def _transform(real, imaginary):
    """FFT of 256 complex numbers a row, radix 2, decimation in time; no scaling."""
    order = [int(f"{n:08b}"[::-1], 2) for n in range(HALF)]
    real, imaginary = real[:, order], imaginary[:, order]
    size = 1
    while size < HALF:
        a_re, b_re = np.moveaxis(real.reshape(len(real), -1, 2, size), 2, 0)
        a_im, b_im = np.moveaxis(imaginary.reshape(len(real), -1, 2, size), 2, 0)
        b_re, b_im = _turned(b_re, b_im, np.arange(size) * (HALF // size))
        real = np.stack([a_re + b_re, a_re - b_re], 2).reshape(real.shape)
        imaginary = np.stack([a_im + b_im, a_im - b_im], 2).reshape(real.shape)
        size *= 2
    return real, imaginary


def _power(real, imaginary):
    """|2 X|^2 of the bins 0..255 of real samples, of the FFT of (even ones) + i (odd ones).

    Bin 0 is not right, and not used.
    """
    back = -np.arange(HALF) % HALF
    even_re, even_im = real + real[:, back], imaginary - imaginary[:, back]
    odd_re, odd_im = imaginary + imaginary[:, back], real[:, back] - real
    odd_re, odd_im = _turned(odd_re, odd_im, np.arange(HALF))
    return (even_re + odd_re) ** 2 + (even_im + odd_im) ** 2


def _turned(real, imaginary, k):
    """Complex numbers times exp(-2 pi i k / 512)."""
    sine, cosine = _TABLES["sine"][k], _TABLES["sine"][k + 128]
    return (
        _shifted(real * cosine + imaginary * sine, 14),
        _shifted(imaginary * cosine - real * sine, 14),
    )


def _shifted(x, bits):
    """x / 2^bits, to the nearest, halves up."""
    return (x + (1 << bits - 1)) >> bits


def _logarithm(energy):
    """8 log2(energy) - OFFSET as a byte."""
    exponent = np.zeros_like(energy)
    for bits in (32, 16, 8, 4, 2, 1):
        exponent += bits * (energy >> exponent >= 1 << bits)
    place = (energy >> np.maximum(exponent - 5, 0)) & 31  # below 2^5 the code is 0 anyway
    codes = _STEPS * exponent + _TABLES["log"][place] - OFFSET
    return np.clip(codes, 0, 255).astype(np.uint8)


def header() -> bytes:
    """log_mel.h with its tables: one file of C99 that needs no other."""
    lines = [
        f"#define LOG_MEL_{name} {value}"
        for name, value in (
            ("SAMPLES", SAMPLES), ("FRAME", FRAME), ("HOP", HOP), ("FRAMES", FRAMES), ("BANDS", BANDS),
            ("FIRST", FIRST), ("OFFSET", OFFSET),
        )
    ]
    text = (_HERE / "log_mel.h").read_text(encoding="ascii")
    text = text.replace('#include "log_mel_sizes.h"', "\n".join(lines))
    return text.replace('#include "log_mel_tables.h"', "\n".join(map(_table, tables().items()))).encode()


def _table(item) -> str:
    name, values = item
    numbers = [", ".join(map(str, row)) for row in np.array_split(values, -(-len(values) // 16))]
    body = ",\n    ".join(numbers)
    return f"static const {values.dtype}_t log_mel_{name}[{len(values)}] = {{\n    {body}\n}};\n"
