/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_TABLE_U8_H
#define GXNOR_TABLE_U8_H

#include <stdint.h>

/* The 27 sums i * a + j * b + k * c, mod 2^32, for i, j, k in {-1, 0, 1} of the three words
   at `in`: table[9 * (i + 1) + 3 * (j + 1) + k + 1]. */
static void gxnor_table_u8(const uint32_t *in, uint32_t *table)
{
    const uint32_t a = in[0], b = in[1], c = in[2];
    uint32_t sum = 0u - a - b;

    table[0] = sum - c;
    table[1] = sum;
    table[2] = sum + c;
    sum += b;
    table[3] = sum - c;
    table[4] = sum;
    table[5] = sum + c;
    sum += b;
    table[6] = sum - c;
    table[7] = sum;
    table[8] = sum + c;
    sum = 0u - b;
    table[9] = sum - c;
    table[10] = sum;
    table[11] = sum + c;
    table[12] = 0u - c;
    table[13] = 0;
    table[14] = c;
    table[15] = b - c;
    table[16] = b;
    table[17] = b + c;
    sum += a;
    table[18] = sum - c;
    table[19] = sum;
    table[20] = sum + c;
    table[21] = a - c;
    table[22] = a;
    table[23] = a + c;
    sum = a + b;
    table[24] = sum - c;
    table[25] = sum;
    table[26] = sum + c;
}

#endif
