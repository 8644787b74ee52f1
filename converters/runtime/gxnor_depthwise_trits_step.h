/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DEPTHWISE_TRITS_STEP_H
#define GXNOR_DEPTHWISE_TRITS_STEP_H

#include <stdint.h>

#include "gxnor_depthwise_trits.h"
#include "gxnor_step_words.h"
#include "gxnor_window_pixel.h"
#include "gxnor_window_span.h"

/* Depthwise convolution of trits with trits, of multiplier 1 and up to 30 places,
   then a ternary step.
   weights: pairs {nonzero, negative}, [word][place of the window, row by row]. thresholds: for
   each word 6 pairs, see gxnor_step_words. out: trits, `words` groups a pixel, like `in`. */
static void gxnor_depthwise_trits_step(const gxnor_window *w, const uint32_t *in, int32_t words,
                                       const uint32_t *weights, const uint32_t *thresholds,
                                       uint32_t *out)
{
    const int32_t line = 2 * words * w->in_width, row = 2 * w->width;
    uint32_t counters[6];
    int32_t y, x, k;

    for (y = 0; y < w->out_height; y++) {
        const gxnor_span down = gxnor_window_span(y * w->stride_y - w->pad_top, w->height,
                                                  w->dilation_y, w->in_height);
        for (x = 0; x < w->out_width; x++) {
            const gxnor_span right = gxnor_window_span(x * w->stride_x - w->pad_left, w->width,
                                                       w->dilation_x, w->in_width);
            const uint32_t *pixel = in + down.first * line + right.first * 2 * words;
            const uint32_t *place = weights + down.skipped * row + right.skipped * 2;
            for (k = 0; k < words; k++) {
                gxnor_depthwise_trits(pixel + 2 * k, line * w->dilation_y,
                                      2 * words * w->dilation_x, down.count, right.count,
                                      place + k * row * w->height, row, counters);
                gxnor_step_words(counters, 6, thresholds + 12 * k, out);
                out += 2;
            }
        }
    }
}

#endif
