/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_BYTES_SUMS_H
#define GXNOR_BYTES_SUMS_H

#include <stdint.h>

#include "gxnor_bytes.h"
#include "gxnor_bytes_patch.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* The sums of all filters at output pixel (y, x), by multiplication. weights: for each four filters
   (the last filled up) and each of c->taps, four bytes. patch: room for c->taps. sums: c->filters
   words, filled up to a multiple of 4. |sum| < 2^24, which the exporter sees to. */
static void gxnor_bytes_sums(const gxnor_bytes *c, const uint8_t *in, const int8_t GXNOR_ROM *weights,
                             int32_t y, int32_t x, int16_t *patch, int32_t *sums)
{
    const int16_t *const end = patch + c->taps;
    int32_t o;

    gxnor_bytes_patch(c, in, y, x, patch);
    GXNOR_ROLLED
    for (o = 0; o < c->filters; o += 4) {
        int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
        const int16_t *tap;
        GXNOR_ROLLED
        for (tap = patch; tap != end; tap += 2) {
            const int32_t first = tap[0], second = tap[1];
            sum0 += first * weights[0];
            sum1 += first * weights[1];
            sum2 += first * weights[2];
            sum3 += first * weights[3];
            sum0 += second * weights[4];
            sum1 += second * weights[5];
            sum2 += second * weights[6];
            sum3 += second * weights[7];
            weights += 8;
        }
        sums[0] = sum0;
        sums[1] = sum1;
        sums[2] = sum2;
        sums[3] = sum3;
        sums += 4;
    }
}

#endif
