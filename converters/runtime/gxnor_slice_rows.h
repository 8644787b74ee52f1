/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_SLICE_ROWS_H
#define GXNOR_SLICE_ROWS_H

#include <stdint.h>

#include "gxnor_shared.h"

/* Puts bit k of eight codes, byte k of low and high, to place `shift` of plane k: the first ones,
   shift = 0, overwrite it. Planes beyond the eighth are signs: as the eighth if `negative`, else 0. */
GXNOR_SHARED void gxnor_slice_rows(uint32_t low, uint32_t high, int32_t negative, int32_t shift,
                                   uint32_t *out, int32_t planes)
{
    const uint32_t sign = negative ? high >> 24 : 0;
    const uint32_t kept = ((uint32_t)1 << shift) - 1u;
    int32_t b;

    GXNOR_ROLLED
    for (b = 0; b < planes; b++) {
        const uint32_t row = b < 8 ? low & 0xffu : sign;
        low = low >> 8 | high << 24;
        high >>= 8;
        out[b] = (out[b] & kept) | row << shift;
    }
}

#endif
