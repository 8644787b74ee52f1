"""Sound to learn from: made-up words that NumPy synthesizes, or a folder of wav files.

The made-up words are not speech. Each is two vowels and sometimes a hiss: two resonances ring in
every pitch period and glide from one vowel to the next. A "speaker" has a pitch, a length of the vocal
tract and a speed of his own; the loudness, the start and the noise in the room differ from clip
to clip. Some words differ only in their order (`ai`, `ia`) or in a hiss that the noise may hide.
"""

import pathlib
import wave
import zlib

import numpy as np
from keyword_spotter.log_mel import RATE, SAMPLES

from keras_gxnor.converters.names import identifier
from keras_gxnor.errors import InvalidArgumentError

VOWELS = {"a": (760, 1250), "e": (450, 1900), "i": (300, 2300), "o": (460, 850), "u": (320, 750)}
WORDS = ["noise", "ai", "ia", "ei", "au", "ua", "ou", "sai", "ais", "sou"]


def synthetic(clips, seed):
    """Clips of the made-up words, as many of each.

    Args:
        clips: How many.
        seed: Of the random numbers.

    Returns:
        (int16 samples of shape (clips, SAMPLES), labels of shape (clips,)), in random order.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(clips) % len(WORDS))
    return np.stack([_clip(WORDS[label], rng) for label in labels]), labels


def _clip(word, rng) -> np.ndarray:
    """One word of one speaker in one room."""
    sound = np.zeros(SAMPLES) if word == "noise" else _word(word, rng)
    loudness = 10 ** rng.uniform(-1.4, -0.3)
    room = rng.normal(size=SAMPLES)
    room += rng.uniform(0, 3) * np.cumsum(room - room.mean()) / 40  # rumble
    room *= 10 ** rng.uniform(-1.2, 0.1) / room.std()  # 24 dB below a word to 2 dB above
    return np.clip(32767 * loudness * 0.3 * (sound + room), -32768, 32767).astype(np.int16)


def _word(word, rng) -> np.ndarray:
    """The sound of a word, of about unit power while it lasts."""
    vowels = [letter for letter in word if letter in VOWELS]
    times, loud, hiss = [0.0], [0.0], [0.0]  # knots of lines
    for letter in word:
        voiced = letter in VOWELS
        for part in ("rise", "hold"):
            times.append(times[-1] + (0.05 if part == "rise" else rng.uniform(0.07, 0.16)))
            loud.append(rng.uniform(0.7, 1.0) if voiced else 0.0)
            hiss.append(0.0 if voiced else rng.uniform(0.1, 0.5))
    times, loud, hiss = np.append(times, times[-1] + 0.06), [*loud, 0.0], [*hiss, 0.0]
    times = times + rng.uniform(0, max(SAMPLES / RATE - times[-1], 0.01))
    now = np.arange(SAMPLES) / RATE
    begin = times[1 if word[0] in VOWELS else 3]
    turn = np.interp(now, [begin + 0.08, begin + 0.22], [0, 1])
    tract, pitch = rng.uniform(0.85, 1.18), rng.uniform(85, 260) * (1 + rng.uniform(-0.2, 0.2) * turn)
    shapes = np.array([VOWELS[letter] for letter in vowels]) * tract * rng.normal(1, 0.05, (2, 2))
    cycle = np.cumsum(pitch) / RATE % 1 / pitch  # seconds since the vocal folds closed
    voice = np.zeros(SAMPLES)
    for first, second in shapes.T:
        formant = first + (second - first) * turn
        voice += np.exp(-300 * cycle) * np.sin(2 * np.pi * formant * cycle)
    noise = np.diff(rng.normal(size=SAMPLES + 1))
    return 2 * np.interp(now, times, loud) * voice + np.interp(now, times, hiss) * noise


def read(folder, chosen=None):
    """A folder of wav files, one sub-folder a word, as Speech Commands has them.

    Files are `{speaker}_nohash_{number}.wav` there; by a hash of the name up to `_nohash_`,
    a tenth of the speakers is held out.

    Args:
        folder: Path of it. Sub-folders whose names start with `_` or `.`, or without a wav file, are
            left out.
        chosen: Names of sub-folders to take; None for all.

    Returns:
        (words, (train pcm, train labels), (test pcm, test labels)): C identifiers, one a word;
        int16 samples of shape (clips, SAMPLES), each clip cut or filled up with zeros.

    Raises:
        InvalidArgumentError: if there are not two words, one of `chosen` is not there, two have the
            same C identifier, there is nothing to test on, or a file is no mono wav of 16 bits at
            16 kHz.
    """
    found = _clips(folder, chosen)
    sets = {False: ([], []), True: ([], [])}
    for label, paths in enumerate(found.values()):
        for path in paths:
            held_out = zlib.crc32(path.stem.split("_nohash_")[0].encode()) % 10 == 0
            sets[held_out][0].append(_samples(path))
            sets[held_out][1].append(label)
    if len(found) < 2 or not all(labels for _, labels in sets.values()):
        raise InvalidArgumentError(
            "Expected a folder with two sub-folders of wav files or more, some of them of held-out "
            f"speakers. Received: {folder} with {list(found)} and "
            f"{len(sets[False][1])} + {len(sets[True][1])} files"
        )
    rng = np.random.default_rng(0)
    shuffled = [(rng.permutation(len(labels)), pcm, labels) for pcm, labels in sets.values()]
    made = [(np.stack(pcm)[order], np.array(labels)[order]) for order, pcm, labels in shuffled]
    return [identifier(name) for name in found], *made


def _clips(folder, chosen) -> dict:
    """{name of a sub-folder: its wav files}."""
    found = {
        place.name: [path for path in sorted(place.glob("*.wav")) if path.is_file()]
        for place in sorted(pathlib.Path(folder).iterdir())
        if place.is_dir() and place.name[0] not in "_."
    }
    found = {name: paths for name, paths in found.items() if paths}
    missing = [name for name in chosen or () if name not in found]
    if missing:
        raise InvalidArgumentError(
            f"Expected words out of {list(found)}, the sub-folders of {folder} with wav files. "
            f"Received: {missing}"
        )
    found = {name: paths for name, paths in found.items() if chosen is None or name in chosen}
    names = [identifier(name) for name in found]
    same = [name for name, made in zip(found, names) if names.count(made) > 1]
    if same:
        raise InvalidArgumentError(
            f"Expected sub-folders of {folder} that differ in letters a-z or digits, all that is left of "
            f"their names in C; rename all but one. Received: {same}"
        )
    return found


def _samples(path) -> np.ndarray:
    try:
        with wave.open(str(path)) as file:
            form = (file.getframerate(), 8 * file.getsampwidth(), file.getnchannels())
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise InvalidArgumentError(f"{path} is no wav file of PCM samples: {error}") from error
    if form != (RATE, 16, 1):
        raise InvalidArgumentError(
            f"{path} must be mono, 16 bits, {RATE} Hz; convert it, as with `sox in.wav -r {RATE} -b 16 "
            f"-c 1 out.wav`. Received: {form[2]} channel(s), {form[1]} bits, {form[0]} Hz"
        )
    if len(data) % 2:
        raise InvalidArgumentError(
            f"{path} is cut off in the middle of a sample: 16 bits each. Received: {len(data)} bytes of them"
        )
    pcm = np.frombuffer(data, "<i2").astype(np.int16)[:SAMPLES]
    return np.pad(pcm, (0, SAMPLES - len(pcm)))


def write_wav(path, pcm):
    """Writes int16 samples as a wav file that `read` takes."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.asarray(pcm, "<i2").tobytes())
