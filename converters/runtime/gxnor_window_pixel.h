/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_WINDOW_PIXEL_H
#define GXNOR_WINDOW_PIXEL_H

#include "gxnor_window.h"

/* The index of the input pixel under place (i, j) of the window of output pixel (y, x),
   or -1 in the padding. */
static int32_t gxnor_window_pixel(const gxnor_window *w, int32_t y, int32_t x, int32_t i, int32_t j)
{
    const int32_t row = y * w->stride_y + i * w->dilation_y - w->pad_top;
    const int32_t column = x * w->stride_x + j * w->dilation_x - w->pad_left;

    if (row < 0 || row >= w->in_height || column < 0 || column >= w->in_width) {
        return -1;
    }
    return row * w->in_width + column;
}

#endif
