/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DIGEST_U8_H
#define GXNOR_DIGEST_U8_H

#include <stdint.h>

#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* 32-bit FNV-1a digest of `size` bytes, which goes on from the digest of what came before;
   2166136261 is that of nothing. */
GXNOR_SHARED uint32_t gxnor_digest_u8(uint32_t digest, const uint8_t GXNOR_ROM *x, int32_t size)
{
    int32_t i;

    GXNOR_ROLLED
    for (i = 0; i < size; i++) {
        digest = (digest ^ x[i]) * 16777619u;
    }
    return digest;
}

#endif
