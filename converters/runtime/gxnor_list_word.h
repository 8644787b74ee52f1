/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_LIST_WORD_H
#define GXNOR_LIST_WORD_H

#include "gxnor_lanes.h"
#include "gxnor_list.h"
#include "gxnor_lowest_bit.h"

/* Thumb has too few registers to inline these loops into others. Elsewhere they are inlined, and
   Clang would make two additions of one, if `place` were a sum. */
#if defined(__thumb__) && defined(__GNUC__)
#define GXNOR_APART __attribute__((noinline))
#define GXNOR_ONE(value) (void)0
#else
#define GXNOR_APART
#define GXNOR_ONE(value) GXNOR_PLACE(value)
#endif

/* Lists the rows of the bits set in `plus` and in `minus`. place: the entry of bit 0. */
GXNOR_APART static void gxnor_list_word(gxnor_list *list, uint32_t plus, uint32_t minus, uint32_t place)
{
    gxnor_entry *end = list->plus;

    GXNOR_ONE(place);
    for (; plus; plus &= plus - 1u) {
        *end++ = (gxnor_entry)(place + GXNOR_LIST_STEP * gxnor_lowest_bit(plus));
    }
    list->plus = end;
    end = list->minus;
    for (; minus; minus &= minus - 1u) {
        *--end = (gxnor_entry)(place + GXNOR_LIST_STEP * gxnor_lowest_bit(minus));
    }
    list->minus = end;
}

#endif
