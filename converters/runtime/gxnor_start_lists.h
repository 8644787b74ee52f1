/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_START_LISTS_H
#define GXNOR_START_LISTS_H

#include "gxnor_lists.h"

/* Empty lists: each place has a buffer of `room` entries, every `step` entries from `list` on. */
static void gxnor_start_lists(gxnor_lists *lists, gxnor_entry *list, int32_t room, int32_t step)
{
    int32_t at;

    for (at = 0; at < GXNOR_PLACES; at++) {
        lists->at[at].plus = list;
        lists->at[at].minus = list + room;
        list += step;
    }
}

#endif
