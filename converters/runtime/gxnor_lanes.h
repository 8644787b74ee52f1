/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_LANES_H
#define GXNOR_LANES_H

#include <stdint.h>

/* Output channels are counted side by side, one in each bit of a gxnor_lanes: all tables of
   weights and thresholds are made for GXNOR_LANES of them. 8 suits AVR, 32 every 32-bit core; more
   is a vector, which compilers of the GNU family turn into MVE, NEON, SSE, AVX2 or AVX-512
   instructions if they may use them, and into words if not. */
#ifndef GXNOR_LANES
#define GXNOR_LANES 32
#endif
#if GXNOR_LANES == 8
typedef uint8_t gxnor_lanes;
#elif GXNOR_LANES == 32
typedef uint32_t gxnor_lanes;
#elif defined(__GNUC__)
/* How vectors are passed depends on the instructions allowed, but nothing here is called from
   another file. */
#pragma GCC diagnostic ignored "-Wpsabi"
typedef uint32_t gxnor_lanes __attribute__((vector_size(GXNOR_LANES / 8), aligned(4), may_alias));
#else
#error "More than 32 lanes need a compiler of the GNU family: convert the network with lanes=32."
#endif

/* Rows of weights lie in groups of GXNOR_PLACES rows, GXNOR_GROUP gxnor_lanes: one row in a pair
   (2 bits a weight), or three rows in five words (1.67 bits, for 32 lanes), see gxnor_add_row. */
#ifndef GXNOR_PLACES
#define GXNOR_PLACES 1
#endif
#if GXNOR_PLACES == 1
#define GXNOR_GROUP 2
#elif GXNOR_PLACES == 3 && GXNOR_LANES == 32
#define GXNOR_GROUP 5
#else
#error "Weights in 1.67 bits are made for 32 lanes: convert the network with lanes=32."
#endif

/* Lists of groups count in bytes (so that an address is one addition) where that leaves room in
   16 bits, else in groups. */
#if GXNOR_LANES <= 32
#define GXNOR_LIST_UNIT 1
#else
#define GXNOR_LIST_UNIT (GXNOR_LANES / 4)
#endif
#define GXNOR_LIST_STEP (GXNOR_GROUP * GXNOR_LANES / 8 / GXNOR_LIST_UNIT)

/* GCC schedules the adders before it allocates registers, and then spills. */
#if defined(__GNUC__) && !defined(__clang__)
#define GXNOR_HOT __attribute__((optimize("no-schedule-insns")))
#else
#define GXNOR_HOT
#endif
/* GXNOR_INLINE: must be inlined, or its arguments would go through memory.
   GXNOR_PLACE: keeps an address in a register, so that both loads of a row use it. */
#if defined(__GNUC__)
#define GXNOR_INLINE static inline __attribute__((always_inline))
#define GXNOR_PLACE(pointer) __asm__("" : "+r"(pointer))
#else
#define GXNOR_INLINE static inline
#define GXNOR_PLACE(pointer) (void)(pointer)
#endif
/* GXNOR_AFTER: as GXNOR_PLACE; Clang for RISC-V would load several rows ahead, and then spill. */
#if defined(__riscv) && defined(__clang__)
#define GXNOR_AFTER(pointer, value) __asm__("" : "+r"(pointer), "+r"(value))
#else
#define GXNOR_AFTER(pointer, value) GXNOR_PLACE(pointer)
#endif
/* GXNOR_LOAD: lets GCC load both words, one behind the other, with one LDRD. */
#if defined(__thumb2__) && !defined(__clang__) && GXNOR_LANES == 32
#define GXNOR_LOAD(a, b) __asm__("" : "+r"(a), "+r"(b))
#else
#define GXNOR_LOAD(a, b) (void)0
#endif
/* GXNOR_HIDDEN: a uint32_t whose value the compiler cannot know, or it would make a call of memset
   or memcpy of the loop that stores it. (8-bit machines have no register for it.) */
#if defined(__GNUC__) && UINTPTR_MAX > 65535
#define GXNOR_HIDDEN(value) __asm__("" : "+r"(value))
#else
#define GXNOR_HIDDEN(value) (void)(value)
#endif
/* GXNOR_NOW: Clang would put off a sum to where it must spill its terms. */
#if defined(__thumb2__) && GXNOR_LANES == 32
#define GXNOR_NOW(value) __asm__("" : "+r"(value))
#else
#define GXNOR_NOW(value) (void)(value)
#endif

#endif
