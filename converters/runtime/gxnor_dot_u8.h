/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DOT_U8_H
#define GXNOR_DOT_U8_H

#include <stdint.h>

/* The sum of `size` products of a byte 0..255 and a trit.
   w: ceil(size / 32) pairs {pos, neg}; bit i % 32 of pair i / 32 belongs to x[i].
   |result| <= 255 * size, so size must stay below 2^23. */
static int32_t gxnor_dot_u8(const uint8_t *x, const uint32_t *w, int32_t size)
{
    int32_t sum = 0;

    while (size > 0) {
        const int32_t count = size < 32 ? size : 32;
        uint32_t pos = w[0], neg = w[1];
        int32_t i;
        for (i = 0; i < count; i++) {
            sum += (int32_t)x[i] * ((int32_t)(pos & 1u) - (int32_t)(neg & 1u));
            pos >>= 1;
            neg >>= 1;
        }
        x += count;
        w += 2;
        size -= count;
    }
    return sum;
}

#endif
