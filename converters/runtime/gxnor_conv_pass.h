/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_PASS_H
#define GXNOR_CONV_PASS_H

#include "gxnor_conv_tiles.h"
#include "gxnor_plan_pass.h"
#include "gxnor_rom.h"
#include "gxnor_run_pass.h"

/* Adds the input columns first .. first + count - 1 of a strip, which meet the rows of window
   column j and the following ones, to the counters of all tiles. list: of gxnor_list_strip.
   Others: gxnor_run_pass. */
static void gxnor_conv_pass(const gxnor_conv_tiles *c, const gxnor_entry *list, int32_t first,
                            int32_t count, int32_t j, uint32_t start, int32_t stage,
                            const gxnor_lanes GXNOR_ROM *weights, gxnor_lanes *planes)
{
    const uint32_t none = (uint32_t)((first - j) * c->run) * GXNOR_LIST_STEP;
    const uintptr_t rows = (uintptr_t)weights - (uintptr_t)none * GXNOR_LIST_UNIT;
    gxnor_pass pass;
    int32_t at;

    GXNOR_ROLLED
    for (at = 0; at < GXNOR_PLACES; at++) {
        const gxnor_entry *end = list + c->room;
        const gxnor_entry *from = end + 2 * first, *to = from + 2 * count;
        gxnor_plan_pass(&pass, at, list + from[0], to[0] - from[0], end - to[1], to[1] - from[1], none);
        list = end + 2 * c->columns + 2;
    }
    gxnor_run_pass(&pass, rows, c->tiles, c->tile_groups, start, stage, c->bits, planes);
}

#endif
