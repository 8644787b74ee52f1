/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DEPTHWISE_TRITS_STEP_H
#define GXNOR_DEPTHWISE_TRITS_STEP_H

#include <stdint.h>

#include "gxnor_depthwise_trits.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"
#include "gxnor_step_words.h"
#include "gxnor_window.h"

/* Depthwise convolution of trits with trits, of multiplier 1, no dilation and up to 30 places,
   then a ternary step. The window covers a pixel wherever it stands.
   weights: pairs {nonzero, negative}, [word][place of the window, row by row]. thresholds: for
   each word 6 pairs, see gxnor_step_words. out: trits, `words` groups a pixel, like `in`. */
static void gxnor_depthwise_trits_step(const gxnor_window *w, const uint32_t *in, int32_t words,
                                       const uint32_t GXNOR_ROM *weights,
                                       const uint32_t GXNOR_ROM *thresholds, uint32_t *out)
{
    const int32_t step = 2 * words, line = step * w->in_width, row = 2 * w->width;
    uint32_t counters[6];
    int32_t y, x, k;

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
            const uint32_t *pixel = in + top * line + left * step;
            const uint32_t GXNOR_ROM *place = weights + (top - above) * row + (left - before) * 2;
            GXNOR_ROLLED
            for (k = 0; k < words; k++) {
                gxnor_depthwise_trits(pixel, line, step, rows, columns, place, row, counters);
                gxnor_step_words(counters, 6, thresholds + 12 * k, out);
                pixel += 2;
                place += row * w->height;
                out += 2;
            }
        }
    }
}

#endif
