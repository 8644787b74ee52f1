/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_MAXPOOL_ANY_H
#define GXNOR_MAXPOOL_ANY_H

#include <stdint.h>

#include "gxnor_shared.h"

/* Max of rows * columns pixels of trits from `in` on, in an image of rows of `line` words. */
static void gxnor_maxpool_any(const uint32_t *in, int32_t line, int32_t rows, int32_t columns,
                              int32_t words, uint32_t *out)
{
    int32_t i, j, k;

    GXNOR_ROLLED
    for (k = 0; k < words; k++) {
        const uint32_t *row = in + 2 * k;
        uint32_t positive = 0, negative = UINT32_MAX;
        GXNOR_ROLLED
        for (i = 0; i < rows; i++) {
            const uint32_t *pixel = row;
            GXNOR_ROLLED
            for (j = 0; j < columns; j++) {
                positive |= pixel[0] & ~pixel[1];
                negative &= pixel[1];
                pixel += 2 * words;
            }
            row += line;
        }
        *out++ = positive | negative;
        *out++ = negative;
    }
}

#endif
