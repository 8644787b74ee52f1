/* Says which word is in a wav file: mono, 16 bits, 16 kHz.
 *
 *     cc -std=c99 -O2 main.c -o spot && ./spot yes.wav
 *
 * On a device, the microphone's buffer takes the place of the file.
 *
 * SPDX-License-Identifier: 0BSD
 */
#include <stdio.h>
#include <string.h>

#define SPOTTER_IMPLEMENTATION
#include "spotter.h"
#include "words.h"

static int16_t pcm[LOG_MEL_SAMPLES]; /* what a short clip does not fill is silence */
static uint8_t features[KEYWORDS_INPUT_SIZE];
static float logits[KEYWORDS_OUTPUT_SIZE];
static uint32_t scratch[SPOTTER_SCRATCH_BYTES / 4];

static const char *const words[KEYWORDS_OUTPUT_SIZE] = {WORDS};

/* A little-endian number of `size` bytes; -1 at the end of the file. */
static long number(FILE *file, int size)
{
    unsigned long value = 0;
    int i;

    for (i = 0; i < size; i++) {
        const int byte = getc(file);
        if (byte == EOF) {
            return -1;
        }
        value |= (unsigned long)byte << (8 * i);
    }
    return (long)value;
}

/* Reads the samples; 0 if the file is as it must be. */
static int load(FILE *file)
{
    char name[4];
    int fits = 0;

    if (fread(name, 1, 4, file) != 4 || memcmp(name, "RIFF", 4) != 0 || number(file, 4) < 0
        || fread(name, 1, 4, file) != 4 || memcmp(name, "WAVE", 4) != 0) {
        return -1;
    }
    while (fread(name, 1, 4, file) == 4) {
        const long size = number(file, 4);
        long i;
        if (memcmp(name, "data", 4) == 0) {
            for (i = 0; i < size / 2 && i < LOG_MEL_SAMPLES; i++) {
                const long sample = number(file, 2);
                pcm[i] = (int16_t)(sample < 32768 ? sample : sample - 65536);
            }
            return fits ? 0 : -1;
        }
        if (memcmp(name, "fmt ", 4) == 0 && size >= 16) {
            const long format = number(file, 2), channels = number(file, 2), rate = number(file, 4);
            fits = format == 1 && channels == 1 && rate == 16000 && number(file, 4) > 0
                   && number(file, 2) == 2 && number(file, 2) == 16;
            if (!fits || fseek(file, size - 16, SEEK_CUR) != 0) {
                return -1;
            }
        } else if (size < 0 || fseek(file, size + (size & 1), SEEK_CUR) != 0) {
            return -1;
        }
    }
    return -1;
}

int main(int count, char **arguments)
{
    FILE *file = count == 2 ? fopen(arguments[1], "rb") : 0;

    if (!file || load(file) != 0) {
        fprintf(stderr, "Expected one wav file: mono, 16 bits, 16 kHz.\n");
        return 2;
    }
    fclose(file);
    if (keywords_selftest(scratch) != 0) {
        fprintf(stderr, "The self-test failed.\n");
        return 3;
    }
    printf("%s\n", words[spotter_run(pcm, features, logits, scratch)]);
    return 0;
}
