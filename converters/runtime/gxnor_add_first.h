/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_ADD_FIRST_H
#define GXNOR_ADD_FIRST_H

#include "gxnor_add_rows.h"

/* gxnor_add_rows of rows in the first place of their groups. */
GXNOR_HOT GXNOR_SHARED void gxnor_add_first(gxnor_counters *c, const gxnor_entries *entries,
                                            uintptr_t rows, gxnor_lanes flip)
{
    gxnor_add_rows(c, entries, rows, flip, 0);
}

#endif
