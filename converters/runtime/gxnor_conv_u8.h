/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_U8_H
#define GXNOR_CONV_U8_H

#include <stdint.h>

#include "gxnor_window.h"

/* The geometry of a convolution of bytes: the first layer of an image.
   channels: bytes of an input pixel; filters: channels of an output pixel.
   groups: ceil(window.height * channels / 3), the taps of a column of the window in threes.
   flip, zero: int8 codes are read as q ^ 0x80, which is q + 128 (uint8 codes as q ^ 0);
   `zero` is the byte, after the flip, that means 0 and fills the padding. */
typedef struct {
    gxnor_window window;
    int32_t channels, filters, groups;
    uint8_t flip, zero;
} gxnor_conv_u8;

#endif
