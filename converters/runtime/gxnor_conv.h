/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_H
#define GXNOR_CONV_H

#include <stdint.h>

#include "gxnor_window_pixel.h"

/* The geometry of a convolution.
   in_step: distance of neighboring input pixels; take: how much of a pixel one group
   reads; row: length of a row of weights, one row for each filter. On packed trits in_step
   and take count words, two for 32 channels, and row counts pairs {pos, neg}; on bytes
   all three count bytes.
   flip, zero: only for bytes. int8 codes are read as q ^ 0x80, which is q + 128; `zero`
   is the byte that means 0 and fills the padding. */
typedef struct {
    gxnor_window window;
    int32_t in_step, take, row;
    int32_t group_inputs, group_filters;
    int32_t filters;
    uint8_t flip, zero;
} gxnor_conv;

#endif
