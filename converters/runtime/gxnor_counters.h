/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_COUNTERS_H
#define GXNOR_COUNTERS_H

#include "gxnor_lanes.h"

/* Numbers of `bits` bits, one in every lane, modulo 2^bits: bit b of lane i is bit i of plane[b].
   bits is 8 or more. carry: the first `carries` words, 16 at most, each of weight 16, are not
   added yet. */
typedef struct {
    gxnor_lanes *plane;
    int32_t bits;
    int32_t carries;
    gxnor_lanes carry[16];
} gxnor_counters;

#endif
