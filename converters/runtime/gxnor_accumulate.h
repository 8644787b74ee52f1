/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_ACCUMULATE_H
#define GXNOR_ACCUMULATE_H

#include <stdint.h>

#include "gxnor_shared.h"

/* sum = (sum & keep) + x * w for 32 channels: w is the trit {nonzero, negative} of each,
   two's complement makes -x of ~x and a carry of 1. x_planes <= planes, which must be enough for
   the sum, or it is right modulo 2^planes. */
static void gxnor_accumulate(const uint32_t *x, int32_t x_planes, uint32_t nonzero,
                             uint32_t negative, uint32_t *sum, int32_t planes, uint32_t keep)
{
    uint32_t term = 0, carry = negative;
    int32_t b;

    GXNOR_ROLLED
    for (b = 0; b < x_planes; b++) {
        const uint32_t old = sum[b] & keep;
        uint32_t odd;
        term = (x[b] & nonzero) ^ negative;
        odd = old ^ term;
        sum[b] = odd ^ carry;
        carry = (old & term) | (carry & odd);
    }
    GXNOR_ROLLED
    for (; b < planes; b++) {
        const uint32_t old = sum[b] & keep, odd = old ^ term;
        sum[b] = odd ^ carry;
        carry = (old & term) | (carry & odd);
    }
}

#endif
