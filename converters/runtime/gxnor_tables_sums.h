/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_TABLES_SUMS_H
#define GXNOR_TABLES_SUMS_H

#include <stdint.h>

#include "gxnor_lanes.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"
#include "gxnor_table_u8.h"
#include "gxnor_tables_after.h"
#include "gxnor_tables_block.h"
#include "gxnor_tables_patch.h"

/* The sums of all filters at two output pixels, which share the words of the tables: places[0],
   places[1] are (y, x) of the first and become that of the one after them. If there is no second,
   one of the last row is computed again. places: four numbers.
   weights: for each segment, each eight filters and each group of three taps, eight bytes, as in
   gxnor_conv_u8_step. scratch: 3 * groups * segments words for the window, then 27 * groups for
   the tables. sums: c->room words for each pixel. */
static void gxnor_tables_sums(const gxnor_tables *c, const uint8_t *in,
                              const volatile uint8_t GXNOR_ROM *weights, int32_t *places,
                              uint32_t *scratch, int32_t *sums)
{
    const uint32_t *patch = scratch;
    uint32_t *const tables = scratch + 3 * c->groups * c->segments;
    uint32_t *const end = tables + 27 * c->groups;
    int32_t o, s;

    gxnor_tables_after(&c->window, places, places + 2);
    places[2] -= places[2] == c->window.out_height;
    gxnor_tables_patch(c, in, places, scratch);
    gxnor_tables_after(&c->window, places + 2, places);
    GXNOR_ROLLED
    for (o = 0; o < 2 * c->room; o++) {
        int32_t none = 0;
        GXNOR_HIDDEN(none);
        sums[o] = none;
    }
    GXNOR_ROLLED
    for (s = 0; s < c->segments; s++) {
        uint32_t *table;
        GXNOR_ROLLED
        for (table = tables; table != end; table += 27) {
            gxnor_table_u8(patch, table);
            patch += 3;
        }
        GXNOR_ROLLED
        for (o = 0; o < c->room; o += 8) {
            weights = gxnor_tables_block(tables, end, weights, sums + o, sums + c->room + o);
        }
    }
}

#endif
