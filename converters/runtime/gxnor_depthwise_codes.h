/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DEPTHWISE_CODES_H
#define GXNOR_DEPTHWISE_CODES_H

#include <stdint.h>

#include "gxnor_depthwise.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* Depthwise convolution whose sums are the codes: the planes of the counters, the last one turned,
   as it holds S + 2^(bits - 1). counters: d->bits words of scratch. planes: at most d->bits, and
   enough for every sum. out: d->words groups a pixel. */
static void gxnor_depthwise_codes(const gxnor_depthwise_layer *d, const uint32_t *in,
                                  const uint32_t GXNOR_ROM *weights, uint32_t *counters, uint32_t *out,
                                  int32_t planes)
{
    int32_t y, x, k, b;

    GXNOR_ROLLED
    for (y = 0; y < d->window.out_height; y++) {
        GXNOR_ROLLED
        for (x = 0; x < d->window.out_width; x++) {
            GXNOR_ROLLED
            for (k = 0; k < d->words; k++) {
                gxnor_depthwise(d, in, weights, y, x, k, counters);
                counters[d->bits - 1] = ~counters[d->bits - 1];
                GXNOR_ROLLED
                for (b = 0; b < planes; b++) {
                    *out++ = counters[b];
                }
            }
        }
    }
}

#endif
