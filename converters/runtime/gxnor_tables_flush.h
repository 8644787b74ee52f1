/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_TABLES_FLUSH_H
#define GXNOR_TABLES_FLUSH_H

#include <stdint.h>

#include "gxnor_lanes.h"

/* Adds both halves of `pair` = u + 65536 * v mod 2^32, |u|, |v| < 2^15, to sums. */
GXNOR_INLINE void gxnor_tables_flush(uint32_t pair, int32_t *first, int32_t *second)
{
    const uint32_t u = ((pair & 0xffffu) ^ 0x8000u) - 0x8000u;

    *first = (int32_t)((uint32_t)*first + u);
    *second = (int32_t)((uint32_t)*second + ((((pair - u) >> 16) ^ 0x8000u) - 0x8000u));
}

#endif
