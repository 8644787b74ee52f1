/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_RAMP_WORD_H
#define GXNOR_RAMP_WORD_H

#include <stdint.h>

#include "gxnor_lanes.h"
#include "gxnor_ramp.h"
#include "gxnor_ramp_add.h"
#include "gxnor_ramp_clip.h"
#include "gxnor_ramp_mend.h"
#include "gxnor_shared.h"

/* The codes of 32 channels, by long division that does not restore: from the highest bit of the
   code on, slope * 2^bit is taken off where the remainder is not negative, else added; a remainder
   that is not negative then is a 1. One beyond all codes makes only ones, a negative one zeros.
   counters: r->sum_bits planes. lines: r->rest_bits planes of the remainder of a counter of 0, less
   slope * 2^(code_bits-1); then r->slope_bits planes. exceptions, first: gxnor_ramp_except.
   rest: r->rest_bits words of scratch. code: r->code_bits planes, and a sign of 0. */
static void gxnor_ramp_word(const gxnor_ramp *r, const uint32_t *counters, const uint32_t *lines,
                            const uint32_t *exceptions, uint32_t first, uint32_t *rest,
                            uint32_t *code)
{
    const uint32_t *const slope = lines + r->rest_bits;
    int32_t b;

    GXNOR_ROLLED
    for (b = 0; b < r->rest_bits; b++) {
        uint32_t start = lines[b];
        GXNOR_HIDDEN(start);
        rest[b] = start;
    }
    gxnor_ramp_add(rest + r->fraction, r->rest_bits - r->fraction, counters, r->sum_bits, 0);
    code[r->code_bits] = 0;
    GXNOR_ROLLED
    for (b = r->code_bits - 1; b > 0; b--) {
        code[b] = ~rest[r->rest_bits - 1];
        gxnor_ramp_add(rest + b - 1, r->rest_bits - b + 1, slope, r->slope_bits, code[b]);
    }
    code[0] = ~rest[r->rest_bits - 1];
    if (r->exceptions) {
        gxnor_ramp_mend(r, rest, slope, exceptions, first, code);
    }
    if (r->top & (r->top + 1)) {
        gxnor_ramp_clip(code, r->code_bits, (uint32_t)r->top);
    }
}

#endif
