/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_TABLES_BLOCK_H
#define GXNOR_TABLES_BLOCK_H

#include <stdint.h>

#include "gxnor_entry_u8.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"
#include "gxnor_tables_flush.h"

/* Adds a segment's sums of eight filters at two output pixels to `first` and `second`.
   tables: 27 words for each group of three taps, up to `end`. weights: eight bytes a group, the
   offsets of the filters' sums in its table. Returns the weights of the next eight filters.
   `volatile` and the order: as in gxnor_block_u8. */
GXNOR_SHARED const volatile uint8_t GXNOR_ROM *gxnor_tables_block(const uint32_t *tables,
                                                                  const uint32_t *end,
                                                                  const volatile uint8_t GXNOR_ROM *weights,
                                                                  int32_t *first, int32_t *second)
{
    uint32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0, a4 = 0, a5 = 0, a6 = 0, a7 = 0;

    GXNOR_ROLLED
    do {
        GXNOR_PLACE(tables);
        a7 += gxnor_entry_u8(tables, weights[7]);
        a6 += gxnor_entry_u8(tables, weights[6]);
        a5 += gxnor_entry_u8(tables, weights[5]);
        a4 += gxnor_entry_u8(tables, weights[4]);
        a3 += gxnor_entry_u8(tables, weights[3]);
        a2 += gxnor_entry_u8(tables, weights[2]);
        a1 += gxnor_entry_u8(tables, weights[1]);
        a0 += gxnor_entry_u8(tables, weights[0]);
        weights += 8;
        tables += 27;
    } while (tables != end);
    gxnor_tables_flush(a0, first, second);
    gxnor_tables_flush(a1, first + 1, second + 1);
    gxnor_tables_flush(a2, first + 2, second + 2);
    gxnor_tables_flush(a3, first + 3, second + 3);
    gxnor_tables_flush(a4, first + 4, second + 4);
    gxnor_tables_flush(a5, first + 5, second + 5);
    gxnor_tables_flush(a6, first + 6, second + 6);
    gxnor_tables_flush(a7, first + 7, second + 7);
    return weights;
}

#endif
