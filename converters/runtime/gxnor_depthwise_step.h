/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DEPTHWISE_STEP_H
#define GXNOR_DEPTHWISE_STEP_H

#include <stdint.h>

#include "gxnor_depthwise.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"
#include "gxnor_step_words.h"

/* Depthwise convolution, then a ternary step.
   thresholds: for each word `bits` pairs, see gxnor_step_words. counters: `bits` words of scratch.
   out: trits, d->words groups a pixel. */
static void gxnor_depthwise_step(const gxnor_depthwise_layer *d, const uint32_t *in,
                                 const uint32_t GXNOR_ROM *weights, const uint32_t GXNOR_ROM *thresholds,
                                 uint32_t *counters, uint32_t *out)
{
    int32_t y, x, k;

    GXNOR_ROLLED
    for (y = 0; y < d->window.out_height; y++) {
        GXNOR_ROLLED
        for (x = 0; x < d->window.out_width; x++) {
            GXNOR_ROLLED
            for (k = 0; k < d->words; k++) {
                gxnor_depthwise(d, in, weights, y, x, k, counters);
                gxnor_step_words(counters, d->bits, thresholds + 2 * k * d->bits, out);
                out += 2;
            }
        }
    }
}

#endif
