/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_ENTRIES_H
#define GXNOR_ENTRIES_H

#include "gxnor_entry.h"

/* Entries of a list of rows: `batches` times eight from `list` on, and eight more at `last`, if
   that is not 0. */
typedef struct {
    const gxnor_entry *list, *last;
    int32_t batches;
} gxnor_entries;

#endif
