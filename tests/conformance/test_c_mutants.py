"""Wrong runtimes, each with one small change: the self-test or the logits of some samples see every one."""

import shutil
import subprocess

import numpy as np
import pytest

from keras_gxnor import reference
from keras_gxnor.converters import c_source, host
from keras_gxnor.converters.c_selftest import fnv
from tests.conformance.samples import ALL, Chain, inputs

NAMES = """cnn_mnist_like cnn_same cnn_dilated cnn_grouped cnn_stride_2_same z2 z2_weights z5_weights residual
densenet mobile depthwise_z2 average_codes_same reshape zero_padding step_of_max conv_pool_logits
grouped_logits same_sums_twice sign_of_input dense_100 dense_wide_logits
inception_wide mixed_cnn_100 mixed_grouped mixed_depthwise mixed_dense_int8 mixed_max_after
mixed_segments mixed_dense mixed_relu_of_input separable_multiplier upsampled""".split()

# file, old text, new text
MUTANTS = [
    ("add_row", "plus | (*ones & zero)", "plus & (*ones & zero)"),
    ("add_row", "*ones ^= zero;", "*ones |= zero;"),
    ("add_row", "zero = row[1];", "zero = row[0];"),
    ("full_add", "a ^ b;", "a | b;"),
    ("full_add", "(a & b) |", "(a | b) |"),
    ("full_add", "(either & *sum)", "(either & ~*sum)"),
    ("add_four", "list[3]", "list[2]"),
    ("add_four", "return gxnor_full_add(fours, low, a)", "return gxnor_full_add(twos, low, a)"),
    ("add_eight", "x[4], x[5]", "x[4], x[4]"),
    ("add_carries", "c->carry + 8", "c->carry + 7"),
    ("add_carries", "t &= old;", "t |= old;"),
    ("add_carries", "t &= old;", ""),
    ("add_carries", "plane += 4; plane < end", "plane += 4; plane < end - 1"),
    ("add_carries", "c->carries = 0;", ""),
    ("add_rows", "gxnor_full_add(&eights, a, b) ^ flip", "gxnor_full_add(&eights, a, b)"),
    ("add_rows", "fours ^ flip;\n    c->", "fours;\n    c->"),
    ("add_rows", "list += 8;", "list += 7;"),
    ("add_rows", "list + 4, rows", "list + 3, rows"),
    ("add_rows", "c->carries == 16", "c->carries == 15"),
    ("add_rows", "last = 0;\n", ""),
    ("add_rows", "16 - c->carries", "17 - c->carries"),
    ("add_constant", "(old & bit) | (carry & (old | bit))", "(old & bit) | (carry & old)"),
    ("add_constant", "value >>= 1;", "value >>= 2;"),
    ("fill", "value & 1u", "value & 2u"),
    ("begin", "start + offset", "start - offset"),
    ("flush", "c->carries > 0", "c->carries > 1"),
    ("flush", "k = c->carries; k < 16", "k = c->carries + 1; k < 16"),
    ("take", "count >> 3", "(count + 1) >> 3"),
    ("take", "k < left ? *list++ : none", "k <= left ? *list++ : none"),
    ("take", "count & 7", "count & 3"),
    ("plan_pass", "(minus + 7) >> 3", "minus >> 3"),
    ("plan_pass", "minus - plus", "plus - minus"),
    ("run_pass", "planes += bits;", "planes += bits - 1;"),
    ("run_pass", "c.plane = planes + stage;", "c.plane = planes;"),
    ("run_pass", "bits - stage", "bits - stage - 1"),
    ("list_word", "plus &= plus - 1u", "plus &= plus - 2u"),
    ("list_word", "*--end", "*end--"),
    ("list_codes", "bit & ~sign, bit & sign", "bit, bit & sign"),
    ("list_codes", "carry &= x[k - 1] ^ sign;", "carry &= x[k - 1];"),
    ("list_codes", "k <= level", "k < level"),
    ("list_column", "line >= 0 &&", "line > 0 &&"),
    ("list_column", "line < c->window.in_height", "line <= c->window.in_height"),
    ("list_column", "line += c->window.dilation_y;", "line++;"),
    ("list_strip", "k <= c->columns", "k < c->columns"),
    ("list_strip", "column < c->window.in_width", "column < c->window.in_width - 1"),
    ("list_strip", "lists.first += lists.run * GXNOR_LIST_STEP;", ""),
    ("list_strip", "left < c->strip ? left", "left <= c->strip ? left - 1"),
    ("list_pixels", "words -= d->pixel_words;", "words -= d->pixel_words + 1;"),
    ("dense_count", "start = 0;", ""),
    ("dense_count", "rows += GXNOR_GROUP * d->chunk_groups;", ""),
    ("dense_count", "level + digit", "level"),
    ("conv_count", "weights += GXNOR_GROUP * c->tiles * c->tile_groups;", ""),
    ("conv_count", "first + j * c->window.dilation_x", "first + j"),
    ("conv_pass", "to[1] - from[1]", "to[1] - from[0]"),
    ("conv_pass", "2 * first", "2 * first + 2"),
    ("step", "high = (s & t1)", "high = (s | t1)"),
    ("step", "low & (s | t0)", "low & (s & t0)"),
    ("step", "high | low", "high"),
    ("steps", "reached & (s | t)", "reached & s"),
    ("steps", "reached &= old;", ""),
    ("steps_tiles", "tile * steps * bits", "tile * steps"),
    ("step_tiles", "2 * tile * bits", "tile * bits"),
    ("sums_tiles", "<< (bits - 1)", "<< bits"),
    ("sums_tiles", "counters += bits;", ""),
    ("put", "out[tile * planes]", "out[tile + planes]"),
    ("slice", "(*in++ ^ flip) - zero", "(*in++ ^ flip) + zero"),
    ("add", "carry & (p ^ q)", "carry & p"),
    ("maxpool_2x2", "a[1] & b[1] & c[1]", "a[1] & b[1] & b[1]"),
    ("maximum", "take ^= x[planes - 1] ^ best[planes - 1];", ""),
    ("accumulate", "(old & term) | (carry & odd)", "(old & term) | (carry & term)"),
    ("depthwise_trits", "s5 ^= carry;", ""),
    ("dot_codes", "? -part : part", "? part : part"),
    ("gather", "pixel < 0) - 1u", "pixel <= 0) - 1u"),
    ("window_pixel", "column >= w->in_width", "column > w->in_width"),
    ("sums_step", ">= *threshold", "> *threshold"),
    ("reshape", "from += run;", "from += run - 1;"),
    ("channels", "31 - shift", "30 - shift"),
    ("pad", "y * in_width + x", "y * in_width"),
    ("sign", "carry &= term;", "carry &= flip;"),
    ("ramp_add", "(old & term) | (carry & odd)", "(old & term) | (carry & term)"),
    ("ramp_add", "(old & minus) | (carry & odd)", "old & minus"),
    ("ramp_word", "rest + b - 1", "rest + b"),
    ("ramp_word", "code[r->code_bits] = 0;", ""),
    ("ramp_tiles", "lines + k * step", "lines"),
    ("ramp_clip", "equal & code[b] & ~limit", "equal & code[b]"),
    ("sums_word", "mask << (size >> 1)", "mask << size"),
    ("bytes_sums", "second * weights[6]", "second * weights[5]"),
    ("bytes_sums", "sums += 4;", "sums += 3;"),
    ("bytes_patch", "- (uint32_t)c->zero", ""),
    ("dense_u8_sums", "- zero", ""),
    ("depthwise_u8", "weights += channels;", "weights += 1;"),
    ("depthwise_u8", "pixel < 0 ? 0 : channels", "channels"),
    ("quantize", "code++;", ""),
    ("quantize", "rest >= slope", "rest > slope"),
    ("quantize", "+ lines[1]", ""),
    ("quantize", "code > top", "code > 255u"),
    ("quantize", "above >= 0", "above > 0"),
    ("tables_after", "place[1] + 1 == w->out_width", "place[1] == w->out_width"),
    ("tables_block", "weights += 8;", "weights += 7;"),
    ("tables_flush", "- 0x8000u;", ";"),
    ("tables_flush", "pair - u", "pair"),
    ("tables_patch", "(below & 0xff0000u)", "0xff0000u"),
    ("tables_sums", "c->room + o", "o"),
    ("tables_sums", "patch += 3;", "patch += 2;"),
    ("tables_sums", "gxnor_tables_after(&c->window, places + 2, places);", ""),
    ("slice_rows", "b < 8", "b < 7"),
    ("slice_rows", "(out[b] & kept)", "out[b]"),
    ("slice_rows", "negative ? high", "!negative ? high"),
    ("slice_u8", "(c & 24) == 24", "(c & 24) == 16"),
    ("turn", "0x00aa00aau;\n    a", "0x00aa00abu;\n    a"),
    ("turn", "swap << 4", "swap << 3"),
    ("unslice_u8", "b == c + 3", "b == c + 4"),
    ("unslice_u8", ">> (c & 24)", ">> (c & 16)"),
    ("maxpool_u8", "started |= pixel >= 0;", ""),
    ("maxpool_u8", "source[k] > most ? source[k] : most", "source[k]"),
]


@pytest.fixture(scope="module")
def networks():
    """(graph, inputs, digests of the logits), one with lists long enough to overflow the carries."""
    graphs = {name: ALL[name]() for name in NAMES}
    lengthy = Chain("lengthy", (1500,)).dense(40, zeros=0.1).step().dense(20).step().dense(3).logits()
    graphs["lengthy"] = lengthy.graph()
    found = []
    for name, graph in graphs.items():
        x = host.parts(inputs(graph, 4))
        truth = host.parts(reference.run(graph, x if len(x) > 1 else x[0]))
        digest = 2166136261
        for y in truth:
            digest = fnv(digest, np.ascontiguousarray(y[2], np.float32).reshape(-1).view(np.uint32))
        found.append((name, graph, [part[2] for part in x], digest))
    return found


def seen(networks, root) -> bool:
    """Whether a program made of the runtime that c_source reads is wrong on this computer."""
    source, body = "", ""
    for name, graph, x, digest in networks:
        (root / f"{name}.h").write_bytes(c_source.emit(graph, name).main)
        source += f'#define {name.upper()}_IMPLEMENTATION\n#include "{name}.h"\n'
        body += _checked(name, graph, x, digest)
    (root / "main.c").write_text(f"{source}\nint main(void)\n{{\n{body}    return 0;\n}}\n")
    host.compile_c([*host.find_compiler(), "-std=c99", "-O1", "main.c", "-o", "main"], root)
    try:
        return subprocess.run([root / "main"], timeout=20).returncode != 0
    except subprocess.TimeoutExpired:
        return True  # it hangs


def _checked(name, graph, x, digest) -> str:
    lines = [f"static uint32_t scratch[{name.upper()}_SCRATCH_BYTES / 4 + 16];"]
    for i, part in enumerate(x):
        values = ", ".join(map(str, part.reshape(-1).tolist()))
        lines.append(f"static const {part.dtype}_t input{i}[] = {{{values}}};")
    shapes = [int(np.prod(shape)) for shape in host.output_shapes(graph)]
    lines += [f"static union {{ float f[{n}]; uint32_t u[{n}]; }} logits{i};" for i, n in enumerate(shapes)]
    lines.append("uint32_t digest = 2166136261u;")
    lines.append(f"if ({name}_selftest(scratch) != 0) {{ return 1; }}")
    ends = [f"input{i}" for i in range(len(x))] + [f"logits{i}.f" for i in range(len(shapes))]
    lines.append(f"{name}_run({', '.join(ends)}, scratch);")
    lines += [f"digest = gxnor_digest(digest, logits{i}.u, {n});" for i, n in enumerate(shapes)]
    lines.append(f"if (digest != {digest}u) {{ return 2; }}")
    return "    {\n        " + "\n        ".join(lines) + "\n    }\n"


def runtime(tmp_path, monkeypatch):
    """A copy of the runtime that c_source reads from now on."""
    shutil.copytree(c_source._HERE / "runtime", tmp_path / "runtime")
    monkeypatch.setattr(c_source, "_HERE", tmp_path)
    return tmp_path / "runtime"


def test_the_right_runtime_passes(networks, tmp_path, monkeypatch):
    """And the table fits it: each text is there, once or as often as all of it is meant."""
    files = runtime(tmp_path, monkeypatch)
    assert not seen(networks, tmp_path)
    for stem, old, new in MUTANTS:
        text = (files / f"gxnor_{stem}.h").read_text()
        assert old in text and old != new, (stem, old)


@pytest.mark.slow
@pytest.mark.parametrize(("stem", "old", "new"), MUTANTS)
def test_a_wrong_runtime_is_seen(networks, tmp_path, monkeypatch, stem, old, new):
    file = runtime(tmp_path, monkeypatch) / f"gxnor_{stem}.h"
    head, body = file.read_text().split("\n{\n", 1)
    assert old in body
    file.write_text(f"{head}\n{{\n{body.replace(old, new)}")
    assert seen(networks, tmp_path)
