/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_MAXPOOL_ANY_H
#define GXNOR_MAXPOOL_ANY_H

#include <stdint.h>

/* Max of the pixels of trits under a window: row_step and column_step words lie between pixels
   that follow each other in it. */
static void gxnor_maxpool_any(const uint32_t *in, int32_t rows, int32_t row_step, int32_t columns,
                              int32_t column_step, int32_t words, uint32_t *out)
{
    int32_t i, j, k;

    for (k = 0; k < words; k++) {
        const uint32_t *row = in + 2 * k;
        uint32_t positive = 0, negative = UINT32_MAX;
        for (i = 0; i < rows; i++) {
            const uint32_t *pixel = row;
            for (j = 0; j < columns; j++) {
                positive |= pixel[0] & ~pixel[1];
                negative &= pixel[1];
                pixel += column_step;
            }
            row += row_step;
        }
        *out++ = positive | negative;
        *out++ = negative;
    }
}

#endif
