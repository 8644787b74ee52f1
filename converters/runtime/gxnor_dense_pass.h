/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DENSE_PASS_H
#define GXNOR_DENSE_PASS_H

#include "gxnor_list_pixels.h"
#include "gxnor_plan_pass.h"
#include "gxnor_rom.h"
#include "gxnor_run_pass.h"
#include "gxnor_start_lists.h"

/* Adds the products of `words` words of input, of which bit `level` of the magnitudes counts, to
   the counters of all tiles. weights: the rows of these words in the first tile. list: room for
   d->run entries of each place. Others: gxnor_run_pass. */
static void gxnor_dense_pass(const gxnor_dense *d, const uint32_t *x, int32_t words, int32_t level,
                             uint32_t start, int32_t stage, const gxnor_lanes GXNOR_ROM *weights,
                             gxnor_entry *list, gxnor_lanes *planes)
{
    gxnor_lists lists;
    gxnor_pass pass;
    int32_t at;

    lists.run = (uint32_t)(words < d->chunk ? d->last_run : d->run);
    lists.first = GXNOR_LIST_STEP;
    gxnor_start_lists(&lists, list, d->run, d->run);
    gxnor_list_pixels(&lists, d, x, words, level);
    GXNOR_ROLLED
    for (at = 0; at < GXNOR_PLACES; at++) {
        const gxnor_list *both = lists.at + at;
        const gxnor_entry *end = list + d->run;
        gxnor_plan_pass(&pass, at, list, (int32_t)(both->plus - list), both->minus,
                        (int32_t)(end - both->minus), 0);
        list += d->run;
    }
    gxnor_run_pass(&pass, (uintptr_t)weights, d->tiles, d->tile_groups, start, stage, d->bits, planes);
}

#endif
