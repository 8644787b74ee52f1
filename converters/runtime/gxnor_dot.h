/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DOT_H
#define GXNOR_DOT_H

#include <stdint.h>

#include "gxnor_popcount_difference.h"

/* Gated XNOR: the sum of 32 * words products of trits.
   x, w: `words` pairs {pos, neg}; a bit set in pos is +1, in neg -1, in neither 0.
   |result| <= 32 * words. */
static int32_t gxnor_dot(const uint32_t *x, const uint32_t *w, int32_t words)
{
    int32_t sum = 0;
    int32_t k;

    for (k = 0; k < words; k++) {
        const uint32_t plus = (x[0] & w[0]) | (x[1] & w[1]);
        const uint32_t minus = (x[0] & w[1]) | (x[1] & w[0]);
        sum += gxnor_popcount_difference(plus, minus);
        x += 2;
        w += 2;
    }
    return sum;
}

#endif
