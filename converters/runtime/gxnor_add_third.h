/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_ADD_THIRD_H
#define GXNOR_ADD_THIRD_H

#include "gxnor_add_rows.h"

#if GXNOR_PLACES == 3
/* gxnor_add_rows of rows in the third place of their groups. */
GXNOR_HOT GXNOR_SHARED void gxnor_add_third(gxnor_counters *c, const gxnor_entries *entries,
                                            uintptr_t rows, gxnor_lanes flip)
{
    gxnor_add_rows(c, entries, rows, flip, 2);
}
#endif

#endif
