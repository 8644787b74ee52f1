/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_POPCOUNT_DIFFERENCE_H
#define GXNOR_POPCOUNT_DIFFERENCE_H

#include <stdint.h>

/* The number of bits set in `plus` less the number set in `minus`: -32..32.
   A bit of `minus` counts -1, so a bit of ~minus counts +1 and 32 is taken off
   at the end: both words add up, and share the second half of one popcount. */
static int32_t gxnor_popcount_difference(uint32_t plus, uint32_t minus)
{
#if defined(__GNUC__) && (defined(__POPCNT__) || defined(__riscv_zbb) || defined(__aarch64__))
    return __builtin_popcount(plus) - __builtin_popcount(minus);
#else
    const uint32_t pairs = 0x55555555u, fours = 0x33333333u, eights = 0x0F0F0F0Fu;
    uint32_t a = plus, b = ~minus;

    a -= (a >> 1) & pairs;
    b -= (b >> 1) & pairs;
    a = (a & fours) + ((a >> 2) & fours); /* 0..4 in every 4 bits */
    b = (b & fours) + ((b >> 2) & fours);
    a += b;                                 /* 0..8 in every 4 bits */
    a = (a & eights) + ((a >> 4) & eights); /* 0..16 in every 8 bits */
    return (int32_t)((a * 0x01010101u) >> 24) - 32;
#endif
}

#endif
