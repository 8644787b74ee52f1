/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_MAXPOOL_H
#define GXNOR_MAXPOOL_H

#include <stdint.h>

#include "gxnor_maxpool_2x2.h"
#include "gxnor_maxpool_any.h"
#include "gxnor_shared.h"
#include "gxnor_window.h"

/* Max pooling of trits; padding does not count. The window has no dilation, and covers a pixel
   wherever it stands. words: groups of 32 channels in a pixel. `out` may be `in` if there is no
   padding before the image: then no pixel is read after it is overwritten. */
static void gxnor_maxpool(const gxnor_window *w, const uint32_t *in, int32_t words, uint32_t *out)
{
    const int32_t small = ((w->height - 1) | (w->width - 1)) <= 1; /* 2x2 or less */
    const int32_t step = 2 * words, line = step * w->in_width;
    int32_t y, x;

    GXNOR_ROLLED
    for (y = 0; y < w->out_height; y++) {
        const int32_t above = y * w->stride_y - w->pad_top, below = above + w->height;
        const int32_t top = above > 0 ? above : 0;
        const int32_t rows = (below < w->in_height ? below : w->in_height) - top;
        GXNOR_ROLLED
        for (x = 0; x < w->out_width; x++) {
            const int32_t before = x * w->stride_x - w->pad_left, behind = before + w->width;
            const int32_t left = before > 0 ? before : 0;
            const int32_t columns = (behind < w->in_width ? behind : w->in_width) - left;
            const uint32_t *first = in + top * line + left * step;
            if (small) {
                gxnor_maxpool_2x2(first, (columns - 1) * step, (rows - 1) * line, words, out);
            } else {
                gxnor_maxpool_any(first, line, rows, columns, words, out);
            }
            out += step;
        }
    }
}

#endif
