"""The examples run, and are exact: the features of sound in C as in Python, every back end as Keras."""

import ctypes
import json
import pathlib
import sys
import types

import numpy as np
import pytest
from click.testing import CliRunner

from keras_gxnor.converters import emulator, host
from keras_gxnor.errors import InvalidArgumentError, ToolError
from tests.tools import C99, CXX11, ZIG, available

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))

import avr_mlp  # noqa: E402
import gesture  # noqa: E402
import keywords  # noqa: E402
import residual  # noqa: E402
from keyword_spotter import device, log_mel, words  # noqa: E402

IMPLEMENTATION = '#define LOG_MEL_IMPLEMENTATION\n#include "log_mel.h"\n'


def sounds() -> np.ndarray:
    """Random, silent, clipping, constant, quiet sounds, and sines of all pitches and loudnesses."""
    rng, now = np.random.default_rng(0), np.arange(log_mel.SAMPLES)
    clips = [rng.integers(-32768, 32768, log_mel.SAMPLES), np.zeros(log_mel.SAMPLES)]
    clips += [np.full(log_mel.SAMPLES, level) for level in (-32768, 32767, 1)]
    clips += [np.where(now % 2, 32767, -32768), np.where(now // 8 % 2, 32767, -32768)]
    clips += [np.sign(np.sin(0.1 * now)) * 32767, rng.normal(0, 2, log_mel.SAMPLES)]
    clips += [
        np.rint(loud * np.sin(2 * np.pi * pitch / log_mel.RATE * now))
        for loud in (2, 300, 32767, 60000)
        for pitch in (62.5, 440, 1234, 7590)
    ]
    return np.stack(clips).clip(-32768, 32767).astype(np.int16)


def implemented(folder):
    (folder / "log_mel.h").write_bytes(log_mel.header())
    for file in ("log_mel.c", "log_mel.cpp"):
        (folder / file).write_text(IMPLEMENTATION)


def test_the_features_in_c_are_those_of_python(tmp_path):
    implemented(tmp_path)
    flags = "-O2 -shared -fPIC log_mel.c -o log_mel.so".split()
    host.compile_c([*host.find_compiler(), *C99, *flags], tmp_path)
    run, clips = ctypes.CDLL(str(tmp_path / "log_mel.so")).log_mel, sounds()
    made = np.full((len(clips), log_mel.FRAMES, log_mel.BANDS), 77, np.uint8)
    scratch = np.zeros(log_mel.FRAME + 1, np.int32)
    scratch[-1] = 4711
    for clip, features in zip(clips, made):
        run(*(ctypes.c_void_p(array.ctypes.data) for array in (clip, features, scratch)))
    np.testing.assert_array_equal(made, log_mel.log_mel(clips))
    assert scratch[-1] == 4711  # the end of the scratch


@pytest.mark.parametrize("core", ["cortex-m4", pytest.param("cortex-m0", marks=pytest.mark.slow)])
def test_the_features_on_a_microcontroller_are_those_of_python(core):
    image = emulator.Image(
        [types.SimpleNamespace(name="log_mel", main=log_mel.header())], core, ["log_mel_frame"]
    )
    processor = emulator.Processor(image, count=True)
    places = [processor.buffer(n) for n in (2 * log_mel.FRAME, log_mel.BANDS, 4 * log_mel.FRAME)]
    clips, counts = sounds(), []
    for clip, features in zip(clips, log_mel.frames(clips[:, : log_mel.FRAME])):
        before = processor.instructions
        processor.write(places[0], clip[: log_mel.FRAME].astype("<i2").tobytes())
        processor.call("log_mel_frame", *places)
        counts.append(processor.instructions - before)
        assert processor.read(places[1], log_mel.BANDS) == features.tobytes()
    assert min(counts) > 10_000
    with pytest.raises(ToolError, match="crashed"):
        processor.call("log_mel_frame", places[0], places[1], places[2] + 4)  # one word too few


@pytest.mark.parametrize("compiler", [["gcc"], ["g++"], [*ZIG, "cc"], [*ZIG, "c++"]])
def test_the_features_compile_without_a_warning(tmp_path, compiler):
    implemented(tmp_path)
    flags, file = (CXX11, "log_mel.cpp") if "++" in compiler[-1] else (C99, "log_mel.c")
    host.compile_c([*available(compiler), *flags, "-O2", "-c", file, "-o", "log_mel.o"], tmp_path)
    assert (tmp_path / "log_mel.o").stat().st_size > 0


def test_the_features_are_log_mel():
    """Against floats of NumPy's FFT, down to 45 dB below the loudest band; logarithms are rounded down."""
    clips = np.concatenate(sounds()[:, : 16 * log_mel.FRAME].reshape(-1, 16, log_mel.FRAME))
    hann = np.sin(np.pi * (np.arange(log_mel.FRAME) + 0.5) / log_mel.FRAME) ** 2
    power = np.abs(np.fft.rfft(clips * hann)) ** 2

    def mel(hertz):
        return 2595 * np.log10(1 + hertz / 700)

    centers = np.linspace(mel(log_mel.LOWEST), mel(log_mel.HIGHEST), log_mel.BANDS + 2)
    bins = mel(np.fft.rfftfreq(log_mel.FRAME, 1 / log_mel.RATE))
    up = (bins - centers[:-2, None]) / (centers[1] - centers[0])
    triangles = np.maximum(0, np.minimum(up, 2 - up))
    # The C has 2 X of samples times 2^3, and weights times 2^8.
    codes = 8 * np.log2(power @ triangles.T * 2**16 + 1e-9) - log_mel.OFFSET
    loud = codes > np.maximum(32, codes.max(axis=-1, keepdims=True) - 120)
    difference = np.clip(codes, 0, 255) - log_mel.frames(clips)
    assert difference[loud].min() > -1 and difference[loud].max() < 4  # sines, at the foot of a triangle
    assert difference[:16].min() > -0.1 and difference[:16].max() < 1.4  # noise


def test_features_do_not_tell_how_loud_it_is():
    clips = 16 * np.random.default_rng(0).normal(0, 300, log_mel.SAMPLES).astype(np.int16)
    features = log_mel.log_mel(np.stack([clips, clips // 4])).astype(int)
    assert np.abs(features[0] - features[1]).max() <= 1 and features.std() > 4


def test_silence_is_in_the_middle_and_other_types_are_refused():
    assert (log_mel.log_mel(np.zeros((1, log_mel.SAMPLES), np.int16)) == 128).all()
    for shape, dtype in (((1, log_mel.SAMPLES), float), ((1, 5), np.int16), (log_mel.SAMPLES, np.int16)):
        with pytest.raises(ValueError, match="Expected int16"):
            log_mel.log_mel(np.zeros(shape, dtype))


def recorded(folder, count=12):
    """A folder as Speech Commands: two words, and noise that is none."""
    pcm, _ = words.synthetic(2 * count, 0)
    for i, clip in enumerate(pcm):
        place = folder / ("yes", "no")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        words.write_wav(place / f"{i // 2:08x}_nohash_{i % 2}.wav", clip[: 15000 if i < 2 else None])
    (folder / "_background_noise_").mkdir()
    return pcm


def test_a_folder_of_words_is_read(tmp_path):
    pcm = recorded(tmp_path, 30)
    names, (x, y), (x_test, y_test) = words.read(tmp_path)
    assert names == ["no", "yes"] and len(x) + len(x_test) == 60 and len(x_test) > 0
    assert np.bincount(y).tolist() == [len(x) // 2] * 2  # a speaker says both, and is in one set
    assert np.bincount(y_test).tolist() == [len(x_test) // 2] * 2
    clips = np.concatenate([x, x_test])
    for i, clip in enumerate(pcm):
        clip = np.where(np.arange(len(clip)) < (15000 if i < 2 else len(clip)), clip, 0)
        assert (clips == clip).all(axis=1).sum() == 1
    assert words.read(tmp_path, ["no", "yes"])[0] == names
    with pytest.raises(InvalidArgumentError, match=r"two sub-folders.*\['no'\]"):
        words.read(tmp_path, ["no"])


@pytest.mark.parametrize(("rate", "width", "channels"), [(8000, 2, 1), (16000, 1, 1), (16000, 2, 2)])
def test_other_wav_files_are_refused(tmp_path, rate, width, channels):
    recorded(tmp_path)
    with words.wave.open(str(tmp_path / "yes" / "odd.wav"), "wb") as file:
        file.setnchannels(channels), file.setsampwidth(width), file.setframerate(rate)
        file.writeframes(bytes(64))
    received = f"Received: {channels} channel.*{8 * width} bits, {rate} Hz"
    with pytest.raises(InvalidArgumentError, match=f"odd.wav must be mono.*{received}"):
        words.read(tmp_path)
    (tmp_path / "yes" / "odd.wav").write_bytes(b"RIFF....")
    with pytest.raises(InvalidArgumentError, match=r"odd.wav is no wav file"):
        words.read(tmp_path)


def test_what_is_no_word_is_left_out(tmp_path):
    recorded(tmp_path, 30)
    expected = words.read(tmp_path)
    for folder in ("empty", ".git", "yes/q.wav"):
        (tmp_path / folder).mkdir()
    (tmp_path / ".git" / "a.wav").write_bytes(b"no sound")
    names, *sets = words.read(tmp_path)
    assert names == expected[0]
    for made, kept in zip(sets, expected[1:], strict=True):
        np.testing.assert_array_equal(made[0], kept[0])
        np.testing.assert_array_equal(made[1], kept[1])
    assert keywords.data(tmp_path, "yes, no", quick=True, seed=0)[0] == names
    for chosen in (["yes", "no", "bogus"], ["yes", "no", "empty"]):
        with pytest.raises(InvalidArgumentError, match=rf"\['no', 'yes'\].*Received: \['{chosen[2]}'\]"):
            words.read(tmp_path, chosen)


def test_words_of_one_c_name_are_refused(tmp_path):
    recorded(tmp_path, 30)
    for name in ("y-s", "y_s"):
        (tmp_path / name).mkdir()
        words.write_wav(tmp_path / name / "a.wav", np.zeros(9, np.int16))
    with pytest.raises(InvalidArgumentError, match=r"Received: \['y-s', 'y_s'\]"):
        words.read(tmp_path)
    assert words.read(tmp_path, ["yes", "no", "y-s"])[0] == ["no", "y_s", "yes"]


def test_a_wav_file_cut_within_a_sample_is_refused(tmp_path):
    recorded(tmp_path)
    path = tmp_path / "yes" / "cut.wav"
    words.write_wav(path, np.zeros(9, np.int16))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InvalidArgumentError, match=r"cut.wav is cut off.*Received: 17 bytes"):
        words.read(tmp_path)


def moved(folder, count=20):
    """A folder of gestures: two classes, in turns."""
    codes, _ = gesture.synthetic(count, 0)
    for i, window in enumerate(codes):
        place = folder / f"class{i % 2}"
        place.mkdir(exist_ok=True)
        np.savetxt(place / f"{i}.csv", window / 32, delimiter=",")
    return codes


def test_what_is_no_gesture_is_left_out(tmp_path):
    moved(tmp_path)
    expected = gesture.read(tmp_path)
    for folder in ("empty", ".git", "class0/x.csv"):
        (tmp_path / folder).mkdir()
    (tmp_path / ".git" / "a.csv").write_text("nothing")
    names, *sets = gesture.read(tmp_path)
    assert names == expected[0]
    for made, kept in zip(sets, expected[1:], strict=True):
        np.testing.assert_array_equal(made[0], kept[0])
        np.testing.assert_array_equal(made[1], kept[1])


def test_every_gesture_is_learned_and_tested(tmp_path):
    moved(tmp_path, 40)
    for path in sorted((tmp_path / "class1").glob("*.csv"))[5:]:
        path.unlink()
    _, (_, y), (_, y_test) = gesture.read(tmp_path)
    assert np.bincount(y).tolist() == [16, 4] and np.bincount(y_test).tolist() == [4, 1]
    next((tmp_path / "class1").glob("*.csv")).unlink()
    with pytest.raises(InvalidArgumentError, match=r"five `.csv` files.*'class0': 20, 'class1': 4"):
        gesture.read(tmp_path)


@pytest.mark.parametrize("number", ["nan", "inf", "1e400"])
def test_gestures_of_infinity_or_nan_are_refused(tmp_path, number):
    moved(tmp_path)
    (tmp_path / "class0" / "0.csv").write_text(f"0,0,0\n0,{number},0\n" + "0,0,0\n" * 126)
    result = CliRunner().invoke(gesture.main, ["--data", str(tmp_path)], terminal_width=1000)
    assert result.exit_code == 2 and "Invalid value for --data" in result.output, result.output
    assert "0.csv must hold finite numbers" in result.output and "in line 2" in result.output


def test_a_folder_of_recordings_is_read(tmp_path):
    codes = moved(tmp_path)
    names, (x, y), (x_test, y_test) = gesture.read(tmp_path)
    assert names == ["class0", "class1"] and len(x) == 16 and len(x_test) == 4
    for window, label in zip([*x, *x_test], [*y, *y_test]):
        assert np.flatnonzero((codes == window).all(axis=(1, 2)))[0] % 2 == label
    (tmp_path / "class0" / "0.csv").write_text("1,2,3\n")
    with pytest.raises(InvalidArgumentError, match=r"128 x 3 numbers. Received: \(1, 3\)"):
        gesture.read(tmp_path)
    (tmp_path / "class0" / "0.csv").write_text("x,y,z\n")
    with pytest.raises(InvalidArgumentError, match="numbers with commas"):
        gesture.read(tmp_path)
    with pytest.raises(InvalidArgumentError, match="two sub-folders"):
        gesture.read(tmp_path / "class0")


def test_differences_are_counted():
    expected = np.zeros((3, 4), np.uint8), np.zeros((3, 2), np.float32), np.zeros(3, int)
    made = tuple(part.copy() for part in expected)
    assert device._compared(made, expected) == {"clips": 3, "features": 0, "logits": 0, "words": 0}
    made[0][1, 2], made[1][:2, 0], made[2][:] = 1, 1e-30, 5
    assert device._compared(made, expected) == {"clips": 3, "features": 1, "logits": 2, "words": 3}


def test_quick_says_how_many_epochs_it_takes_at_most():
    """keywords.py takes 6 of its own, avr_mlp.py 8 of more."""
    empty, common = ([], []), sys.modules[keywords.quicker.__module__]
    assert [common.quicker(True, epochs, empty, empty)[0] for epochs in (6, 40)] == [6, 8]
    for module in (keywords, avr_mlp):
        assert "at most 8 epochs" in CliRunner().invoke(module.main, ["--help"]).output


def ran(module, folder, *arguments) -> dict:
    """The report of an example run with --quick."""
    result = CliRunner().invoke(module.main, ["--quick", "--out", str(folder), *arguments])
    assert result.exit_code == 0, result.output + repr(result.exception)
    report = json.loads((folder / "report.json").read_text())
    assert not any(report["mismatches"].values()) and len(report["mismatches"]) == 7
    for what in ("flash_bytes", "scratch_bytes", "stack_bytes", "instructions", "float_weight_bytes"):
        assert report[what] > 0, what
    assert 0 < report["float_accuracy"] <= 1
    return report


def images(**changes):
    """Arrays of an .npz as residual.py takes it, some of them replaced; None is left out."""
    x = np.random.default_rng(0).integers(0, 256, (6, 8, 9)).astype(np.uint8)
    arrays = {"x_train": x, "y_train": np.arange(6) % 3, "x_test": x[:2], "y_test": np.arange(2)}
    return {name: array for name, array in {**arrays, **changes}.items() if array is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_test": None}, "no .npz of images.*y_test"),
        ({"x_train": np.array([None] * 6)}, "no .npz of images.*pickle"),
        ({"train_jpeg": np.zeros(9, np.uint8)}, "no .npz of images.*offsets"),
        ({"train_jpeg": np.zeros(9, np.uint8), "train_offsets": np.array([0, 9])}, "no .npz of images"),
        ({"train_jpeg": np.zeros(9, np.uint8), "train_offsets": np.array(9)}, "no .npz of images"),
        ({"x_train": np.zeros((6, 8, 9))}, "train: expected uint8.*float64 of shape"),
        ({"x_test": np.zeros((2, 64), np.uint8)}, r"test: expected uint8.*uint8 of shape \(2, 64, 1\)"),
        ({"x_train": np.zeros((6, 7, 9), np.uint8)}, "train: expected uint8.*8 x 8"),
        ({"x_train": np.zeros((6, 8, 9, 2), np.uint8)}, "train: expected uint8.*1 or 3"),
        ({"x_test": np.zeros((0, 8, 9), np.uint8)}, "test: expected uint8"),
        ({"x_test": np.zeros((2, 9, 9), np.uint8)}, "images of one shape"),
        ({"y_train": np.arange(5)}, r"train: expected 6 labels.*shape \(5,\)"),
        ({"y_train": np.eye(6, dtype=int)}, r"train: expected 6 labels.*argmax.*shape \(6, 6\)"),
        ({"y_test": np.array(["a", "b"])}, "test: expected 2 labels.*<U1"),
        ({"y_test": np.zeros(2)}, "test: expected 2 labels.*float64"),
        ({"y_test": np.array([0, -1])}, r"test: expected 2 labels.*\[ 0 -1\]"),
        ({"y_test": np.array([0, 3])}, "only with classes to train with.*up to 2 and 3"),
        ({"y_train": np.zeros(6, int), "y_test": np.zeros(2, int)}, "two classes or more"),
    ],
)
def test_other_images_are_refused(tmp_path, changes, message):
    np.savez(tmp_path / "a.npz", **images(**changes))
    with pytest.raises(InvalidArgumentError, match=f"a.npz.*{message}"):
        residual.data(tmp_path / "a.npz", 0)


def test_images_are_read(tmp_path):
    kept = images()
    for x, y in ((kept["x_train"], kept["y_train"]), (kept["x_train"][..., None], kept["y_train"][:, None])):
        np.savez(tmp_path / "a.npz", **images(x_train=x, y_train=y))
        _, train_set, test_set = residual.data(tmp_path / "a.npz", 0)
        for (codes, labels), part in ((train_set, "train"), (test_set, "test")):
            np.testing.assert_array_equal(codes, kept[f"x_{part}"][..., None])
            np.testing.assert_array_equal(labels, kept[f"y_{part}"])


def test_files_that_are_no_npz_are_refused(tmp_path):
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "empty.npz").touch()
    (tmp_path / "text.npz").write_text("nothing")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 nothing")
    for name in ("array.npy", "empty.npz", "text.npz", "cut.npz"):
        result = CliRunner().invoke(residual.main, ["--data", str(tmp_path / name)], terminal_width=1000)
        assert result.exit_code == 2 and "Invalid value for --data" in result.output, result.output
        assert f"{name} is no .npz of images" in result.output


@pytest.mark.slow
@pytest.mark.parametrize("start", [[], ["--scratch"]])
def test_residual(tmp_path, start):
    assert ran(residual, tmp_path, *start)["accuracy"] > 0.25


@pytest.mark.slow
def test_residual_on_other_images(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 700)
    tint = 80 * (labels[:, None, None, None] == np.arange(3))
    images, labels = (rng.integers(0, 80, (700, 12, 12, 3)) + tint).astype(np.uint8), labels[:, None]
    parts = {"x_train": images[:600], "y_train": labels[:600], "x_test": images[600:], "y_test": labels[600:]}
    np.savez(tmp_path / "rgb.npz", **parts)
    assert ran(residual, tmp_path, "--data", str(tmp_path / "rgb.npz"))["accuracy"] > 0.8


@pytest.mark.slow
def test_gesture(tmp_path):
    assert ran(gesture, tmp_path)["accuracy"] > 0.3  # 1 of 9 by chance


@pytest.mark.slow
@pytest.mark.parametrize("given", [False, True])
def test_keywords(tmp_path, given):
    """Made-up words, or a folder of wav files."""
    if given:
        recorded(tmp_path / "wav", 100)
    report = ran(keywords, tmp_path, *(["--data", str(tmp_path / "wav"), "--words", "yes,no"] * given))
    assert report["words"] == (["no", "yes"] if given else words.WORDS)
    for core in ("host", "cortex_m4"):
        found = report["device"][core]
        assert found["clips"] > 0 and not any(found[what] for what in ("features", "logits", "words"))
    assert report["device"]["program"]["clips"] > 0 and report["device"]["program"]["mismatches"] == 0
    assert report["device"]["features_instructions"] > 1_000_000


def test_avr_mlp(tmp_path):
    report = ran(avr_mlp, tmp_path)
    assert report["accuracy"] > 0.6
    for tool in ("avr-gcc", "simavr"):
        available(tool)
    assert report["avr"]["mismatches"] == 0 and report["avr"]["fits"]
    assert 0 < report["avr"]["cycles"] < 64 * 65536


def test_avr_mlp_without_its_tools(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "avr-gcc, avr-size, simavr" in avr_mlp.run_on_avr(tmp_path, None, None)["skipped"]
