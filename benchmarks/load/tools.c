/* Errors, clocks, memory and a histogram of latencies. */
#include "load.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    LATENCY_BITS = 5,           /* of the histogram's numbers: percentiles are exact to 3 % */
    LATENCY_STEPS = 1 << LATENCY_BITS,
};

static uint64_t latencies[64 * LATENCY_STEPS];
static uint64_t recorded;

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == NULL)
        fail("out of memory");
    return memory;
}

static int64_t nanoseconds_of(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

int64_t now(void)
{
    return nanoseconds_of(CLOCK_MONOTONIC);
}

int64_t cpu_time(void)
{
    return nanoseconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

/* The histogram's steps grow with the value, so that recording one is cheap. */
void record_latency(int64_t nanoseconds)
{
    uint64_t value = nanoseconds < LATENCY_STEPS ? LATENCY_STEPS : (uint64_t)nanoseconds;
    unsigned exponent = 63 - __builtin_clzll(value);
    unsigned step = (value >> (exponent - LATENCY_BITS)) % LATENCY_STEPS;
    latencies[exponent * LATENCY_STEPS + step]++;
    recorded++;
}

double percentile_us(double fraction)
{
    uint64_t seen = 0;
    for (unsigned i = 0; i < 64 * LATENCY_STEPS; i++) {
        seen += latencies[i];
        if (seen > 0 && seen >= fraction * recorded) {
            double power = UINT64_C(1) << (i / LATENCY_STEPS);
            return power * (1 + i % LATENCY_STEPS / (double)LATENCY_STEPS) / 1e3;
        }
    }
    return 0;
}
