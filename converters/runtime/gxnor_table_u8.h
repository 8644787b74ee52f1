/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_TABLE_U8_H
#define GXNOR_TABLE_U8_H

#include <stdint.h>

/* The 27 sums i * a + j * b + k * c for i, j, k in {-1, 0, 1} of three words in[0..2]:
   table[9 * (i + 1) + 3 * (j + 1) + k + 1], mod 2^32. */
static void gxnor_table_u8(const uint32_t *in, uint32_t *table)
{
    const uint32_t b = in[1], c = in[2];
    uint32_t sum = 0u - in[0];
    int32_t i;

    for (i = 0; i < 3; i++) {
        table[0] = sum - b - c;
        table[1] = sum - b;
        table[2] = sum - b + c;
        table[3] = sum - c;
        table[4] = sum;
        table[5] = sum + c;
        table[6] = sum + b - c;
        table[7] = sum + b;
        table[8] = sum + b + c;
        sum += in[0];
        table += 9;
    }
}

#endif
