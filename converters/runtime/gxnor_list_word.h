/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_LIST_WORD_H
#define GXNOR_LIST_WORD_H

#include "gxnor_lanes.h"
#include "gxnor_list.h"
#include "gxnor_lowest_bit.h"
#include "gxnor_shared.h"

/* Lists the rows of the bits set in `plus` and in `minus`. place: the entry of bit 0. */
static void gxnor_list_word(gxnor_list *list, uint32_t plus, uint32_t minus, uint32_t place)
{
    gxnor_entry *end = list->plus;

    GXNOR_ROLLED
    for (; plus; plus &= plus - 1u) {
        *end++ = (gxnor_entry)(place + GXNOR_LIST_STEP * gxnor_lowest_bit(plus));
    }
    list->plus = end;
    end = list->minus;
    GXNOR_ROLLED
    for (; minus; minus &= minus - 1u) {
        *--end = (gxnor_entry)(place + GXNOR_LIST_STEP * gxnor_lowest_bit(minus));
    }
    list->minus = end;
}

#endif
