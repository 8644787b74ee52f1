/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_LOOKUP_H
#define GXNOR_LOOKUP_H

#include <stdint.h>

#include "gxnor_lanes.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* Input bytes to rows of a table: row (byte ^ flip) - zero, the first below it and the last beyond
   it, so that no byte reads outside. table: `rows` times `group` words, as they go to `out`. */
static void gxnor_lookup(const uint8_t *in, uint32_t flip, uint32_t zero, const uint32_t GXNOR_ROM *table,
                         int32_t rows, int32_t group, uint32_t *out, int32_t size)
{
    int32_t i, k;

    GXNOR_ROLLED
    for (i = 0; i < size; i++) {
        int32_t row = (int32_t)(in[i] ^ flip) - (int32_t)zero;
        const uint32_t GXNOR_ROM *from;
        row = row < 0 ? 0 : row;
        row = row < rows ? row : rows - 1;
        from = table + row * group;
        GXNOR_ROLLED
        for (k = 0; k < group; k++) {
            uint32_t word = *from++;
            GXNOR_HIDDEN(word);
            *out++ = word;
        }
    }
}

#endif
