/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_ADD_SLICE_H
#define GXNOR_ADD_SLICE_H

#include "gxnor_add_first.h"
#include "gxnor_add_second.h"
#include "gxnor_add_third.h"

/* gxnor_add_rows of GXNOR_PLACES lists, one for each place of a group. */
GXNOR_INLINE void gxnor_add_slice(gxnor_counters *c, const gxnor_entries *entries, uintptr_t rows,
                                  gxnor_lanes flip)
{
    gxnor_add_first(c, entries, rows, flip);
#if GXNOR_PLACES == 3
    gxnor_add_second(c, entries + 1, rows, flip);
    gxnor_add_third(c, entries + 2, rows, flip);
#endif
}

#endif
