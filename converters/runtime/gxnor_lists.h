/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_LISTS_H
#define GXNOR_LISTS_H

#include "gxnor_lanes.h"
#include "gxnor_list.h"

/* A list for each place of a group. The rows of a column (or of a chunk of a dense layer) lie side
   by side: the first `run` of them in the first places of its groups, and so on.
   first: the entry of the column's first group. */
typedef struct {
    gxnor_list at[GXNOR_PLACES];
    uint32_t run, first;
} gxnor_lists;

#endif
