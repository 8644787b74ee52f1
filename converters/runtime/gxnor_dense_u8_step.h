/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DENSE_U8_STEP_H
#define GXNOR_DENSE_U8_STEP_H

#include <stdint.h>

#include "gxnor_dot_u8.h"
#include "gxnor_put_trit.h"

/* Dense layer on `size` bytes, then a ternary step.
   weights: a row of ceil(size / 32) pairs {pos, neg} for each output. thresholds: two
   for each output, for sums of the bytes as they are: the zero point is in them. */
static void gxnor_dense_u8_step(const uint8_t *x, int32_t size, const uint32_t *weights,
                                const int32_t *thresholds, int32_t outputs, uint32_t *out)
{
    int32_t o;

    for (o = 0; o < outputs; o++) {
        gxnor_put_trit(out, o, gxnor_dot_u8(x, weights, size), thresholds + 2 * o);
        weights += 2 * ((size + 31) / 32);
    }
}

#endif
