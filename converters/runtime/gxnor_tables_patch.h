/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_TABLES_PATCH_H
#define GXNOR_TABLES_PATCH_H

#include <stdint.h>

#include "gxnor_shared.h"
#include "gxnor_tables.h"
#include "gxnor_window_pixel.h"

/* The values u and v under the windows of two output pixels, row by row; places: their (y, x).
   patch[k] = u + 65536 * v mod 2^32; 0 outside of the image, where the first pixel is read instead,
   and masked. What lies behind the last tap stays: its weights are 0. */
GXNOR_SHARED void gxnor_tables_patch(const gxnor_tables *c, const uint8_t *in, const int32_t *places,
                                     uint32_t *patch)
{
    const gxnor_window *w = &c->window;
    const uint32_t zero = (uint32_t)c->zero * 0x10001u;
    int32_t i, j;

    GXNOR_ROLLED
    for (i = 0; i < w->height; i++) {
        GXNOR_ROLLED
        for (j = 0; j < w->width; j++) {
            const int32_t first = gxnor_window_pixel(w, places[0], places[1], i, j);
            const int32_t second = gxnor_window_pixel(w, places[2], places[3], i, j);
            const uint32_t inside = (uint32_t)(first < 0) - 1u, below = (uint32_t)(second < 0) - 1u;
            const uint32_t mask = (inside & 0xffu) | (below & 0xff0000u);
            const uint32_t flip = (mask & ((uint32_t)c->flip * 0x10001u)) | (~mask & zero);
            const uint8_t *u = in + (int32_t)((uint32_t)first & inside) * c->channels;
            const uint8_t *v = in + (int32_t)((uint32_t)second & below) * c->channels;
            const uint8_t *const last = u + c->channels;
            GXNOR_ROLLED
            while (u != last) {
                *patch++ = (((*u++ | (uint32_t)*v++ << 16) & mask) ^ flip) - zero;
            }
        }
    }
}

#endif
