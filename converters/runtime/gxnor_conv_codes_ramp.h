/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_CODES_RAMP_H
#define GXNOR_CONV_CODES_RAMP_H

#include <stdint.h>

#include "gxnor_conv_codes_pixel.h"
#include "gxnor_ramp_word.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"
#include "gxnor_sums_word.h"

/* Convolution of codes of any planes, in any groups, then a ReLU in steps. weights, patch: as in
   gxnor_conv_codes_pixel. lines: as in gxnor_ramp_tiles. sums: c->filters words of scratch.
   rest: ramp->rest_bits + 32 words. out: codes of ramp->code_bits + 1 planes. */
static void gxnor_conv_codes_ramp(const gxnor_conv *c, const uint32_t *in, int32_t planes,
                                  const uint32_t GXNOR_ROM *weights, int32_t digits, const gxnor_ramp *ramp,
                                  const uint32_t *lines, uint32_t *patch, int32_t *sums,
                                  uint32_t *rest, uint32_t *out)
{
    const int32_t words = (c->filters + 31) / 32, step = ramp->rest_bits + ramp->slope_bits;
    uint32_t *const counters = rest + ramp->rest_bits;
    int32_t y, x, k;

    GXNOR_ROLLED
    for (y = 0; y < c->window.out_height; y++) {
        GXNOR_ROLLED
        for (x = 0; x < c->window.out_width; x++) {
            gxnor_conv_codes_pixel(c, in, planes, weights, digits, y, x, patch, sums);
            GXNOR_ROLLED
            for (k = 0; k < words; k++) {
                gxnor_sums_word(sums + 32 * k, c->filters - 32 * k, counters, ramp->sum_bits);
                gxnor_ramp_word(ramp, counters, lines + k * step, lines + words * step,
                                8192u * (uint32_t)k, rest, out);
                out += ramp->code_bits + 1;
            }
        }
    }
}

#endif
