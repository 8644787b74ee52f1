/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DENSE_SUMS_H
#define GXNOR_DENSE_SUMS_H

#include <stdint.h>

#include "gxnor_dot.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* Dense layer on trits that keeps its sums.
   x: `words` pairs {nonzero, negative}. weights: a row of `words` such pairs for each output. */
static void gxnor_dense_sums(const uint32_t *x, int32_t words, const uint32_t GXNOR_ROM *weights,
                             int32_t outputs, int32_t *sums)
{
    int32_t o;

    GXNOR_ROLLED
    for (o = 0; o < outputs; o++) {
        sums[o] = gxnor_dot(x, weights, words);
        weights += 2 * words;
    }
}

#endif
