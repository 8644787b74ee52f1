/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_BYTES_H
#define GXNOR_BYTES_H

#include "gxnor_window.h"

/* The geometry of a kernel that multiplies bytes: value = (byte ^ flip) - zero.
   taps: height * width * channels of the window, filled up to a multiple of 2 with weights of 0.
   bits: planes of the counters S + 2^(bits-1) that are made of the sums. */
typedef struct {
    gxnor_window window;
    int32_t channels, filters, taps;
    int32_t flip, zero, bits;
} gxnor_bytes;

#endif
