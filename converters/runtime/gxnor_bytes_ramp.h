/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_BYTES_RAMP_H
#define GXNOR_BYTES_RAMP_H

#include <stdint.h>

#include "gxnor_bytes_sums.h"
#include "gxnor_ramp_word.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"
#include "gxnor_sums_word.h"

/* First layer on bytes, then a ReLU in steps. patch, weights: as in gxnor_bytes_sums. lines: as in
   gxnor_ramp_tiles. sums: c->filters words. rest: ramp->rest_bits + 32 words. */
static void gxnor_bytes_ramp(const gxnor_bytes *c, const uint8_t *in, const int8_t GXNOR_ROM *weights,
                             const gxnor_ramp *ramp, const uint32_t *lines, int16_t *patch,
                             int32_t *sums, uint32_t *rest, uint32_t *out)
{
    const int32_t words = (c->filters + 31) / 32, step = ramp->rest_bits + ramp->slope_bits;
    uint32_t *const counters = rest + ramp->rest_bits;
    int32_t y, x, k;

    GXNOR_ROLLED
    for (y = 0; y < c->window.out_height; y++) {
        GXNOR_ROLLED
        for (x = 0; x < c->window.out_width; x++) {
            gxnor_bytes_sums(c, in, weights, y, x, patch, sums);
            GXNOR_ROLLED
            for (k = 0; k < words; k++) {
                gxnor_sums_word(sums + 32 * k, c->filters - 32 * k, counters, c->bits);
                gxnor_ramp_word(ramp, counters, lines + k * step, lines + words * step,
                                8192u * (uint32_t)k, rest, out);
                out += ramp->code_bits + 1;
            }
        }
    }
}

#endif
