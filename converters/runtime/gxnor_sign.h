/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_SIGN_H
#define GXNOR_SIGN_H

#include <stdint.h>

/* Negates, in place, the channels whose bit is set in `mask`: swaps pos and neg there.
   x: `pixels` times `words` pairs {pos, neg}. mask: `words` words. */
static void gxnor_sign(uint32_t *x, const uint32_t *mask, int32_t words, int32_t pixels)
{
    int32_t p, k;

    for (p = 0; p < pixels; p++) {
        for (k = 0; k < words; k++) {
            const uint32_t swap = (x[0] ^ x[1]) & mask[k];
            x[0] ^= swap;
            x[1] ^= swap;
            x += 2;
        }
    }
}

#endif
