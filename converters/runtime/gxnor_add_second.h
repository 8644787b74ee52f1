/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_ADD_SECOND_H
#define GXNOR_ADD_SECOND_H

#include "gxnor_add_rows.h"

#if GXNOR_PLACES == 3
/* gxnor_add_rows of rows in the second place of their groups. */
GXNOR_HOT GXNOR_SHARED void gxnor_add_second(gxnor_counters *c, const gxnor_entries *entries,
                                             uintptr_t rows, gxnor_lanes flip)
{
    gxnor_add_rows(c, entries, rows, flip, 1);
}
#endif

#endif
