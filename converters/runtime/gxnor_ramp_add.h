/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_RAMP_ADD_H
#define GXNOR_RAMP_ADD_H

#include <stdint.h>

#include "gxnor_shared.h"

/* rest += slope in lanes where `minus` is 0, rest -= slope where it is 1: `bits` planes, two's
   complement, and slope_bits <= bits planes of numbers that are not negative. */
GXNOR_SHARED void gxnor_ramp_add(uint32_t *rest, int32_t bits, const uint32_t *slope,
                                 int32_t slope_bits, uint32_t minus)
{
    uint32_t carry = minus; /* -slope = ~slope + 1 */
    int32_t b;

    GXNOR_ROLLED
    for (b = 0; b < slope_bits; b++) {
        const uint32_t old = rest[b], term = slope[b] ^ minus, odd = old ^ term;
        rest[b] = odd ^ carry;
        carry = (old & term) | (carry & odd);
    }
    GXNOR_ROLLED
    for (; b < bits; b++) {
        const uint32_t old = rest[b], odd = old ^ minus;
        rest[b] = odd ^ carry;
        carry = (old & minus) | (carry & odd);
    }
}

#endif
