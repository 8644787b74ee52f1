/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DOT_CODES_H
#define GXNOR_DOT_CODES_H

#include <stdint.h>

#include "gxnor_dot_signs.h"
#include "gxnor_popcount_difference.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* The sum of 32 * words products of codes of any planes and weights of any digits.
   x: `words` groups of `planes` words. w: for each of them `digits` pairs {pos, neg} from the least:
   a weight is the sum of 2^j * trit j. Doubles from the highest plane and digit down; trits, the
   usual case, take a third of that.
   |result| <= 32 * words * 2^(planes-1) * (2^digits - 1), which must be below 2^31. */
static int32_t gxnor_dot_codes(const uint32_t *x, int32_t planes, const uint32_t GXNOR_ROM *w,
                               int32_t digits, int32_t words)
{
    int32_t sum = 0;
    int32_t k, b, j;

    if (planes == 2 && digits == 1) {
        return gxnor_dot_signs(x, w, words);
    }
    GXNOR_ROLLED
    for (k = 0; k < words; k++) {
        int32_t value = 0;
        GXNOR_ROLLED
        for (b = planes - 1; b >= 0; b--) {
            int32_t part = 0;
            GXNOR_ROLLED
            for (j = 2 * digits - 2; j >= 0; j -= 2) {
                part = 2 * part + gxnor_popcount_difference(x[b] & w[j], x[b] & w[j + 1]);
            }
            value = 2 * value + (b == planes - 1 ? -part : part);
        }
        sum += value;
        x += planes;
        w += 2 * digits;
    }
    return sum;
}

#endif
