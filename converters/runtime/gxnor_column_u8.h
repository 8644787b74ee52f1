/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_COLUMN_U8_H
#define GXNOR_COLUMN_U8_H

#include <stdint.h>

#include "gxnor_conv_u8.h"

/* Bytes of one column of the window for two output pixels, one above the other, side by
   side: column[i * channels + k] = a + 65536 * b, where a is channel k of the input pixel
   (row + i * dilation_y, x) and b that of the pixel stride_y rows below; `zero` outside of
   the image. x may be outside. */
static void gxnor_column_u8(const gxnor_conv_u8 *c, const uint8_t *in, int32_t row, int32_t x,
                            uint32_t *column)
{
    const gxnor_window *w = &c->window;
    const int32_t step = w->in_width * c->channels;
    int32_t i, k;

    for (i = 0; i < w->height; i++) {
        const int32_t below = row + w->stride_y;
        const int32_t inside = x >= 0 && x < w->in_width;
        const uint32_t upper = 0u - (uint32_t)(inside && row >= 0 && row < w->in_height);
        const uint32_t lower = 0u - (uint32_t)(inside && below >= 0 && below < w->in_height);
        const uint32_t mask = (upper & 0xffu) | (lower & 0xff0000u);
        const uint32_t fill = (mask & (c->flip * 0x10001u)) | (~mask & (c->zero * 0x10001u));
        const uint8_t *a = in + (upper ? row * step + x * c->channels : 0);
        const uint8_t *b = in + (lower ? below * step + x * c->channels : 0);
        for (k = 0; k < c->channels; k++) {
            *column++ = ((a[k] | (uint32_t)b[k] << 16) & mask) ^ fill;
        }
        row += w->dilation_y;
    }
}

#endif
