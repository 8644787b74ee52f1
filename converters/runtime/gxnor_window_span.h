/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_WINDOW_SPAN_H
#define GXNOR_WINDOW_SPAN_H

#include <stdint.h>

/* The rows (or columns) under a window that lie inside the image: `count` of them from `first`.
   skipped: how many of the window lie in the padding before the image. */
typedef struct {
    int32_t first, count, skipped;
} gxnor_span;

/* What lies inside the `size` rows of an image of a window whose `count` rows begin at `place`
   and are `step` apart; count may come out 0 or less: nothing. Loops, as a Cortex-M0 cannot
   divide; they end at once where no row is missing. */
static gxnor_span gxnor_window_span(int32_t place, int32_t count, int32_t step, int32_t size)
{
    gxnor_span span;

    span.skipped = 0;
    while (place < 0) {
        place += step;
        span.skipped++;
    }
    span.first = place;
    span.count = count - span.skipped;
    place += (span.count - 1) * step;
    while (span.count > 0 && place >= size) {
        place -= step;
        span.count--;
    }
    return span;
}

#endif
