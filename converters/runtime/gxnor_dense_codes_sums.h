/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DENSE_CODES_SUMS_H
#define GXNOR_DENSE_CODES_SUMS_H

#include <stdint.h>

#include "gxnor_dot_codes.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* Dense layer on codes that keeps its sums.
   x: `words` groups of `planes` words. weights: a row of `words` times `digits` pairs {pos, neg}
   for each output, see gxnor_dot_codes. */
static void gxnor_dense_codes_sums(const uint32_t *x, int32_t planes, int32_t words,
                                   const uint32_t GXNOR_ROM *weights, int32_t digits, int32_t outputs,
                                   int32_t *sums)
{
    int32_t o;

    GXNOR_ROLLED
    for (o = 0; o < outputs; o++) {
        sums[o] = gxnor_dot_codes(x, planes, weights, digits, words);
        weights += 2 * words * digits;
    }
}

#endif
