/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_H
#define GXNOR_CONV_H

#include "gxnor_window.h"

/* The geometry of a convolution that is made filter by filter, in any groups.
   in_step: words of an input pixel; take: how many of them one group reads; row: groups of 32
   channels in a row of weights, one row for each filter. */
typedef struct {
    gxnor_window window;
    int32_t in_step, take, row;
    int32_t group_inputs, group_filters;
    int32_t filters;
} gxnor_conv;

#endif
