/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_WINDOW_H
#define GXNOR_WINDOW_H

#include <stdint.h>

/* A window that slides over an image; pad_*: rows and columns missing before the first. */
typedef struct {
    int32_t in_height, in_width;
    int32_t out_height, out_width;
    int32_t height, width;
    int32_t stride_y, stride_x;
    int32_t dilation_y, dilation_x;
    int32_t pad_top, pad_left;
} gxnor_window;

#endif
