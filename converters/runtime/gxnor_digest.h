/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DIGEST_H
#define GXNOR_DIGEST_H

#include <stdint.h>

/* 32-bit FNV-1a digest of `size` words, which goes on from the digest of what came before;
   2166136261 is that of nothing. */
static uint32_t gxnor_digest(uint32_t digest, const uint32_t *x, int32_t size)
{
    int32_t i;

    for (i = 0; i < size; i++) {
        digest = (digest ^ x[i]) * 16777619u;
    }
    return digest;
}

#endif
