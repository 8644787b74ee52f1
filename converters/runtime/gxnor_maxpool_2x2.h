/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_MAXPOOL_2X2_H
#define GXNOR_MAXPOOL_2X2_H

#include <stdint.h>

#include "gxnor_shared.h"

/* Max of four pixels of trits: the one at `in` and those `right`, `down` and `right + down`
   words further; a distance of 0 stands for pixels that are missing: one taken twice changes
   no maximum. */
static void gxnor_maxpool_2x2(const uint32_t *in, int32_t right, int32_t down, int32_t words,
                              uint32_t *out)
{
    const uint32_t *a = in, *b = in + right, *c = in + down, *d = in + down + right;
    int32_t k;

    GXNOR_ROLLED
    for (k = 0; k < words; k++) {
        const uint32_t negative = a[1] & b[1] & c[1] & d[1];
        const uint32_t ab = (a[0] & ~a[1]) | (b[0] & ~b[1]);
        const uint32_t cd = (c[0] & ~c[1]) | (d[0] & ~d[1]);
        out[0] = ab | cd | negative;
        out[1] = negative;
        a += 2;
        b += 2;
        c += 2;
        d += 2;
        out += 2;
    }
}

#endif
