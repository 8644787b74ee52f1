/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_SLICE_H
#define GXNOR_SLICE_H

#include <stdint.h>

/* Entries of a list of rows: `batches` times eight from `list` on, and eight more at `last`, if
   that is not 0. */
typedef struct {
    const uint16_t *list, *last;
    int32_t batches;
} gxnor_slice;

#endif
