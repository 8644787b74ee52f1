/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_PASS_H
#define GXNOR_PASS_H

#include "gxnor_entries.h"
#include "gxnor_lanes.h"

/* The rows of one window to add and to subtract, in each place of a group, for all tiles.
   offset: what must be added to the counters beforehand. A row adds w + 1 instead of w, which is
   the number of rows too much, and a batch that is subtracted adds 16 too much (gxnor_add_rows).
   spare: the ends of the slices, filled up to eight entries. */
typedef struct {
    gxnor_entries plus[GXNOR_PLACES], minus[GXNOR_PLACES];
    uint32_t offset;
    gxnor_entry spare[16 * GXNOR_PLACES];
} gxnor_pass;

#endif
