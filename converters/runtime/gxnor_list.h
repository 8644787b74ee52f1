/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_LIST_H
#define GXNOR_LIST_H

#include "gxnor_entry.h"

/* Two lists of rows in one buffer: those to add grow up from its start, those to subtract grow
   down from its end. plus: where the next one to add goes; minus: one above where the next one
   to subtract goes. */
typedef struct {
    gxnor_entry *plus, *minus;
} gxnor_list;

#endif
