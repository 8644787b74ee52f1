/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_ADD_H
#define GXNOR_ADD_H

#include <stdint.h>

#include "gxnor_shared.h"

/* Element-wise sum of two tensors of codes.
   groups: of 32 channels: pixels * words. a_planes, b_planes <= planes; both are extended by
   their sign planes, and `planes` must be enough for every sum. `out` must not overlap. */
static void gxnor_add(const uint32_t *a, int32_t a_planes, const uint32_t *b, int32_t b_planes,
                      uint32_t *out, int32_t planes, int32_t groups)
{
    int32_t g, k;

    GXNOR_ROLLED
    for (g = 0; g < groups; g++) {
        uint32_t p = 0, q = 0, carry = 0;
        GXNOR_ROLLED
        for (k = 0; k < planes; k++) {
            if (k < a_planes) {
                p = *a++;
            }
            if (k < b_planes) {
                q = *b++;
            }
            *out++ = p ^ q ^ carry;
            carry = (p & q) | (carry & (p ^ q));
        }
    }
}

#endif
