/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DOT_SIGNS_H
#define GXNOR_DOT_SIGNS_H

#include <stdint.h>

#include "gxnor_popcount_difference.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* Gated XNOR of trits in planes and weights in signs: the sum of 32 * words products.
   x: `words` pairs {nonzero, negative}. w: as many pairs {pos, neg}. |result| <= 32 * words. */
static int32_t gxnor_dot_signs(const uint32_t *x, const uint32_t GXNOR_ROM *w, int32_t words)
{
    int32_t sum = 0;

    GXNOR_ROLLED
    for (; words > 0; words--) {
        const uint32_t minus = x[1], plus = x[0] & ~minus;
        sum += gxnor_popcount_difference((plus & w[0]) | (minus & w[1]), (plus & w[1]) | (minus & w[0]));
        x += 2;
        w += 2;
    }
    return sum;
}

#endif
