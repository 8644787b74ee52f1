/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_BYTES_SUMS_H
#define GXNOR_BYTES_SUMS_H

#include <stdint.h>

#include "gxnor_bytes.h"
#include "gxnor_bytes_patch.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* The sums of all filters at output pixel (y, x), by multiplication. weights: c->taps for each
   filter. patch: room for c->taps. |sum| < 2^24, which the exporter sees to. */
static void gxnor_bytes_sums(const gxnor_bytes *c, const uint8_t *in, const int8_t GXNOR_ROM *weights,
                             int32_t y, int32_t x, int16_t *patch, int32_t *sums)
{
    int32_t o, k;

    gxnor_bytes_patch(c, in, y, x, patch);
    GXNOR_ROLLED
    for (o = 0; o < c->filters; o++) {
        int32_t sum = 0;
        GXNOR_ROLLED
        for (k = 0; k < c->taps; k += 4) {
            sum += (int32_t)patch[k] * weights[0];
            sum += (int32_t)patch[k + 1] * weights[1];
            sum += (int32_t)patch[k + 2] * weights[2];
            sum += (int32_t)patch[k + 3] * weights[3];
            weights += 4;
        }
        sums[o] = sum;
    }
}

#endif
