/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DENSE_U8_SUMS_H
#define GXNOR_DENSE_U8_SUMS_H

#include <stdint.h>

#include "gxnor_dot_u8.h"

/* Dense layer on `size` bytes that keeps its sums.
   weights: a row of ceil(size / 32) pairs {pos, neg} for each output.
   starts: -zero_point * (sum of the row), so that the sums are those of q - zero_point. */
static void gxnor_dense_u8_sums(const uint8_t *x, int32_t size, const uint32_t *weights,
                                const int32_t *starts, int32_t outputs, int32_t *sums)
{
    int32_t o;

    for (o = 0; o < outputs; o++) {
        sums[o] = starts[o] + gxnor_dot_u8(x, weights, size);
        weights += 2 * ((size + 31) / 32);
    }
}

#endif
