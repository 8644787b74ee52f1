/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_RUN_PASS_H
#define GXNOR_RUN_PASS_H

#include "gxnor_add_slice.h"
#include "gxnor_all.h"
#include "gxnor_begin.h"
#include "gxnor_flush.h"
#include "gxnor_pass.h"

/* Adds 2^stage times a pass to the counters of `tiles` tiles, which with `start` not 0 (then stage
   is 0) are set to that before: counts begin at plane `stage`, of which 8 must be left.
   rows: the address that entries count from in the first tile; tile_groups: groups of a tile.
   planes: `bits` of them for each tile. */
GXNOR_SHARED void gxnor_run_pass(const gxnor_pass *p, uintptr_t rows, int32_t tiles, int32_t tile_groups,
                                 uint32_t start, int32_t stage, int32_t bits, gxnor_lanes *planes)
{
    gxnor_counters c;

    c.bits = bits - stage;
    GXNOR_ROLLED
    for (; tiles > 0; tiles--) {
        c.plane = planes + stage;
        gxnor_begin(&c, start, p->offset);
        gxnor_add_slice(&c, p->plus, rows, gxnor_all(0));
        gxnor_add_slice(&c, p->minus, rows, gxnor_all(1));
        gxnor_flush(&c);
        planes += bits;
        rows += (uintptr_t)tile_groups * (GXNOR_GROUP * sizeof(gxnor_lanes));
    }
}

#endif
