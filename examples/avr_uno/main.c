/* Classifies the images of images.h on an ATmega328P (Arduino Uno) and reports on the serial line.
 *
 *     avr-gcc -std=gnu99 -Os -mmcu=atmega328p main.c -o main.elf
 *
 * GNU C, not C99: only there the tables of digits_avr.h and the images stay in flash, where
 * pointers of their own type read them. It prints the result of the self-test, a line for each
 * image (class, digest of the logits' bits, cycles), and how deep the stack ever was.
 *
 * SPDX-License-Identifier: 0BSD
 */
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>

#define DIGITS_AVR_IMPLEMENTATION
#include "digits_avr.h"
#include "images.h"

#define PAINT 0xA5

extern uint8_t __heap_start; /* where the linker's static data ends */

static uint32_t scratch[DIGITS_AVR_SCRATCH_BYTES / 4];
static uint8_t input[DIGITS_AVR_INPUT_SIZE];
static float logits[DIGITS_AVR_OUTPUT_SIZE];

static void put(char letter)
{
    while (!(UCSR0A & (1 << UDRE0))) {
    }
    UDR0 = (uint8_t)letter;
}

static void show(const char *what, uint32_t number)
{
    int8_t i;

    while (*what) {
        put(*what++);
    }
    for (i = 28; i >= 0; i -= 4) {
        put("0123456789abcdef"[(number >> i) & 15]);
    }
}

/* Fills the RAM between the static data and the stack. */
static void paint(void)
{
    volatile uint8_t *place = &__heap_start;

    while ((uintptr_t)place < SP) {
        *place++ = PAINT;
    }
}

static uint32_t stack_bytes(void)
{
    const volatile uint8_t *place = &__heap_start;

    while (*place == PAINT) {
        place++;
    }
    return (uint32_t)(RAMEND + 1 - (uintptr_t)place);
}

int main(void)
{
    uint8_t image;
    int16_t i;

    paint();
    UCSR0B = 1 << TXEN0;
    show("selftest ", (uint32_t)digits_avr_selftest(scratch));
    for (image = 0; image < IMAGES; image++) {
        uint32_t ticks;
        for (i = 0; i < DIGITS_AVR_INPUT_SIZE; i++) {
            input[i] = images[image][i];
        }
        TCCR1B = 0;
        TCNT1 = 0;
        TIFR1 = 1 << TOV1;
        TCCR1B = (1 << CS11) | (1 << CS10); /* one tick is 64 cycles */
        digits_avr_run(input, logits, scratch);
        ticks = TIFR1 & (1 << TOV1) ? 0 : TCNT1; /* 0: more than 65535 */
        show("\nclass ", (uint32_t)digits_avr_argmax(logits));
        show(" logits ", gxnor_digest(2166136261u, (const uint32_t *)(const void *)logits,
                                      DIGITS_AVR_OUTPUT_SIZE));
        show(" cycles ", ticks * 64u);
    }
    show("\nstack ", stack_bytes());
    put('\n');
    cli();
    sleep_enable();
    sleep_cpu();
    return 0;
}
