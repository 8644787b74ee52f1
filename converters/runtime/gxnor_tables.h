/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_TABLES_H
#define GXNOR_TABLES_H

#include "gxnor_window.h"

/* The geometry of a convolution of bytes with trits by tables of sums: value = (byte ^ flip) - zero.
   groups: the threes of taps whose tables are made at once, at most 42 (126 * 255 < 2^15);
   segments: how often, so that a window has 3 * groups * segments taps, the last of weight 0.
   room: filters, filled up to a multiple of 8. bits: planes of counters S + 2^(bits-1). */
typedef struct {
    gxnor_window window;
    int32_t channels, filters, room;
    int32_t groups, segments;
    int32_t flip, zero, bits;
} gxnor_tables;

#endif
