/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_MAXPOOL_H
#define GXNOR_MAXPOOL_H

#include <stdint.h>

#include "gxnor_maxpool_2x2.h"
#include "gxnor_maxpool_any.h"
#include "gxnor_window_pixel.h"
#include "gxnor_window_span.h"

/* Max pooling of trits; padding does not count, and every window must cover a pixel.
   words: groups of 32 channels in a pixel. `out` may be `in` if the window has no padding
   before the image: then no pixel is read after it is overwritten. */
static void gxnor_maxpool(const gxnor_window *w, const uint32_t *in, int32_t words, uint32_t *out)
{
    const int32_t line = 2 * words * w->in_width;
    const int32_t down = line * w->dilation_y, right = 2 * words * w->dilation_x;
    const int32_t height = w->height, width = w->width;
    int32_t y, x;

    for (y = 0; y < w->out_height; y++) {
        const gxnor_span rows = gxnor_window_span(y * w->stride_y - w->pad_top, height,
                                                  w->dilation_y, w->in_height);
        for (x = 0; x < w->out_width; x++) {
            const gxnor_span columns = gxnor_window_span(x * w->stride_x - w->pad_left, width,
                                                         w->dilation_x, w->in_width);
            const uint32_t *first = in + rows.first * line + columns.first * 2 * words;
            if (height > 2 || width > 2) {
                gxnor_maxpool_any(first, rows.count, down, columns.count, right, words, out);
            } else {
                gxnor_maxpool_2x2(first, columns.count > 1 ? right : 0, rows.count > 1 ? down : 0,
                                  words, out);
            }
            out += 2 * words;
        }
    }
}

#endif
