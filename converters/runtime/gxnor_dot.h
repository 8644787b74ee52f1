/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DOT_H
#define GXNOR_DOT_H

#include <stdint.h>

#include "gxnor_popcount_difference.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* Gated XNOR: the sum of 32 * words products of trits.
   x, w: `words` pairs {nonzero, negative}, both alike. |result| <= 32 * words. */
static int32_t gxnor_dot(const uint32_t *x, const uint32_t GXNOR_ROM *w, int32_t words)
{
    int32_t sum = 0;
    int32_t k;

    GXNOR_ROLLED
    for (k = 0; k < words; k++) {
        const uint32_t nonzero = x[0] & w[0], negative = x[1] ^ w[1];
        sum += gxnor_popcount_difference(nonzero & ~negative, nonzero & negative);
        x += 2;
        w += 2;
    }
    return sum;
}

#endif
