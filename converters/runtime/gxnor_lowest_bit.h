/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_LOWEST_BIT_H
#define GXNOR_LOWEST_BIT_H

#include <stdint.h>

#include "gxnor_rom.h"

/* The index of the lowest bit set in `x`, which is not 0. */
static uint32_t gxnor_lowest_bit(uint32_t x)
{
#if defined(__GNUC__) && (defined(__ARM_FEATURE_CLZ) || defined(__riscv_zbb) || defined(__x86_64__) \
                          || defined(__i386__) || defined(__aarch64__))
    return (uint32_t)__builtin_ctz(x);
#else
    /* The lowest bit alone, as a factor, shifts a sequence in which all five bits in a row differ. */
    static const uint8_t GXNOR_ROM index[32] = {
        0,  1,  28, 2,  29, 14, 24, 3, 30, 22, 20, 15, 25, 17, 4,  8,
        31, 27, 13, 23, 21, 19, 16, 7, 26, 12, 18, 6,  11, 5,  10, 9};
    return index[((x & (0u - x)) * 0x077CB531u) >> 27];
#endif
}

#endif
