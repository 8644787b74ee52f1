/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DENSE_U8_SUMS_H
#define GXNOR_DENSE_U8_SUMS_H

#include <stdint.h>

#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* Sums of `size` products for each output: value = (byte ^ flip) - zero.
   weights: `size` for each output. |sum| < 2^24, which the exporter sees to. */
static void gxnor_dense_u8_sums(const uint8_t *in, int32_t flip, int32_t zero, int32_t size,
                                const int8_t GXNOR_ROM *weights, int32_t outputs, int32_t *sums)
{
    int32_t o, k;

    GXNOR_ROLLED
    for (o = 0; o < outputs; o++) {
        int32_t sum = 0;
        GXNOR_ROLLED
        for (k = 0; k < size; k++) {
            sum += (((int32_t)in[k] ^ flip) - zero) * *weights++;
        }
        sums[o] = sum;
    }
}

#endif
