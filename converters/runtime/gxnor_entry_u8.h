/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_ENTRY_U8_H
#define GXNOR_ENTRY_U8_H

#include <stdint.h>

/* The word `offset` bytes behind `table`, a multiple of 4: so that no shift is needed. */
static uint32_t gxnor_entry_u8(const uint32_t *table, uint8_t offset)
{
    return *(const uint32_t *)(const void *)((const uint8_t *)table + offset);
}

#endif
