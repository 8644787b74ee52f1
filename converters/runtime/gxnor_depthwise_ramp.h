/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DEPTHWISE_RAMP_H
#define GXNOR_DEPTHWISE_RAMP_H

#include <stdint.h>

#include "gxnor_depthwise.h"
#include "gxnor_ramp_word.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* Depthwise convolution, then a ReLU in steps. lines: as in gxnor_ramp_tiles. rest: ramp->rest_bits +
   d->bits words of scratch. out: d->words groups of ramp->code_bits + 1 words a pixel. */
static void gxnor_depthwise_ramp(const gxnor_depthwise_layer *d, const uint32_t *in,
                                 const uint32_t GXNOR_ROM *weights, const gxnor_ramp *ramp,
                                 const uint32_t *lines, uint32_t *rest, uint32_t *out)
{
    const int32_t step = ramp->rest_bits + ramp->slope_bits;
    uint32_t *const counters = rest + ramp->rest_bits;
    int32_t y, x, k;

    GXNOR_ROLLED
    for (y = 0; y < d->window.out_height; y++) {
        GXNOR_ROLLED
        for (x = 0; x < d->window.out_width; x++) {
            GXNOR_ROLLED
            for (k = 0; k < d->words; k++) {
                gxnor_depthwise(d, in, weights, y, x, k, counters);
                gxnor_ramp_word(ramp, counters, lines + k * step, lines + d->words * step,
                                8192u * (uint32_t)k, rest, out);
                out += ramp->code_bits + 1;
            }
        }
    }
}

#endif
