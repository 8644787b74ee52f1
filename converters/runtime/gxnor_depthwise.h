/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DEPTHWISE_H
#define GXNOR_DEPTHWISE_H

#include <stdint.h>

#include "gxnor_accumulate.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"
#include "gxnor_window_pixel.h"

/* A depthwise convolution of multiplier 1.
   planes, words: of the input codes. digits: a weight is the sum of 2^j * trit j, j < digits.
   bits: planes of the counters. The weights are pairs {nonzero, negative} of 32 channels,
   [word][digit][place of the window, row by row]. */
typedef struct {
    gxnor_window window;
    int32_t planes, words, digits, bits;
} gxnor_depthwise_layer;

/* The counters of 32 channels, those of `word`, of output pixel (y, x): `bits` planes of
   S + 2^(bits-1). A digit of place value 2^j is added from plane j on. digits, planes <= bits. */
static void gxnor_depthwise(const gxnor_depthwise_layer *d, const uint32_t *in,
                            const uint32_t GXNOR_ROM *weights, int32_t y, int32_t x, int32_t word,
                            uint32_t *counters)
{
    const int32_t places = 2 * d->window.height * d->window.width;
    uint32_t keep = 0;
    int32_t i, j, digit;

    weights += word * d->digits * places;
    GXNOR_ROLLED
    for (i = 0; i < d->window.height; i++) {
        GXNOR_ROLLED
        for (j = 0; j < d->window.width; j++) {
            const int32_t pixel = gxnor_window_pixel(&d->window, y, x, i, j);
            const uint32_t inside = (uint32_t)(pixel < 0) - 1u;
            const uint32_t *source = in + ((pixel < 0 ? 0 : pixel) * d->words + word) * d->planes;
            GXNOR_ROLLED
            for (digit = 0; digit < d->digits; digit++) {
                const uint32_t GXNOR_ROM *pair = weights + digit * places;
                gxnor_accumulate(source, d->planes, pair[0] & inside, pair[1] & inside,
                                 counters + digit, d->bits - digit, keep);
                keep = UINT32_MAX;
            }
            weights += 2;
        }
    }
    counters[d->bits - 1] = ~counters[d->bits - 1];
}

#endif
