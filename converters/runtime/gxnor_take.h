/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_TAKE_H
#define GXNOR_TAKE_H

#include "gxnor_entries.h"
#include "gxnor_shared.h"

/* The slice of `count` entries from `list` on; what is left of eight goes to `spare`, filled up
   with entries `none`, the row that adds nothing. */
GXNOR_SHARED void gxnor_take(gxnor_entries *entries, const gxnor_entry *list, int32_t count,
                             uint32_t none, gxnor_entry *spare)
{
    const int32_t left = count & 7;
    int32_t k;

    entries->list = list;
    entries->batches = count >> 3;
    entries->last = left ? spare : 0;
    list += count - left;
    GXNOR_ROLLED
    for (k = 0; k < 8 && left; k++) {
        spare[k] = (gxnor_entry)(k < left ? *list++ : none);
    }
}

#endif
