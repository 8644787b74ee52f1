/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DEPTHWISE_STEPS_H
#define GXNOR_DEPTHWISE_STEPS_H

#include <stdint.h>

#include "gxnor_depthwise.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"
#include "gxnor_steps_words.h"

/* Depthwise convolution, then a step of any number of thresholds.
   thresholds: for each word a table [steps][bits], see gxnor_steps_words. counters: `bits` words
   of scratch. out: codes of `planes` planes, d->words groups a pixel. */
static void gxnor_depthwise_steps(const gxnor_depthwise_layer *d, const uint32_t *in,
                                  const uint32_t GXNOR_ROM *weights,
                                  const uint32_t GXNOR_ROM *thresholds, int32_t steps, int32_t low,
                                  uint32_t *counters, uint32_t *out, int32_t planes)
{
    int32_t y, x, k;

    GXNOR_ROLLED
    for (y = 0; y < d->window.out_height; y++) {
        GXNOR_ROLLED
        for (x = 0; x < d->window.out_width; x++) {
            GXNOR_ROLLED
            for (k = 0; k < d->words; k++) {
                gxnor_depthwise(d, in, weights, y, x, k, counters);
                gxnor_steps_words(counters, d->bits, thresholds + k * steps * d->bits, steps, low,
                                  out, planes);
                out += planes;
            }
        }
    }
}

#endif
