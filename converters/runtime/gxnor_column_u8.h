/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_COLUMN_U8_H
#define GXNOR_COLUMN_U8_H

#include <stdint.h>

#include "gxnor_conv_u8.h"
#include "gxnor_shared.h"

/* The bytes in a column of the window of two output pixels, one above the other:
   column[i * channels + k] = u + 65536 * v, where u is channel k of the input pixel
   (row + i * dilation_y, x) and v that of the pixel stride_y rows below; `zero` where that
   is outside of the image. The first pixel is read instead, and masked. */
static void gxnor_column_u8(const gxnor_conv_u8 *c, const uint8_t *in, int32_t row, int32_t x,
                            uint32_t *column)
{
    const gxnor_window *w = &c->window;
    const uint32_t height = x >= 0 && x < w->in_width ? (uint32_t)w->in_height : 0;
    int32_t i, k;

    GXNOR_ROLLED
    for (i = 0; i < w->height; i++) {
        const int32_t below = row + w->stride_y;
        const uint32_t upper = (uint32_t)row < height ? 0xffu : 0;
        const uint32_t lower = (uint32_t)below < height ? 0xff0000u : 0;
        const uint32_t mask = upper | lower;
        const uint32_t fill = (mask & (c->flip * 0x10001u)) | (~mask & (c->zero * 0x10001u));
        const uint8_t *u = in + (upper ? (row * w->in_width + x) * c->channels : 0);
        const uint8_t *v = in + (lower ? (below * w->in_width + x) * c->channels : 0);
        for (k = 0; k < c->channels; k++) {
            *column++ = ((u[k] | (uint32_t)v[k] << 16) & mask) ^ fill;
        }
        row += w->dilation_y;
    }
}

#endif
