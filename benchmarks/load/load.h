/* What the files of the load generator share. */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* options.c: what the command line asks for. */

enum mode { ECHO, BROADCAST, HANDSHAKE, IDLE };

extern struct options {
    enum mode mode;
    uint16_t port;
    unsigned connections, in_flight;
    size_t size;
    double warm_up, seconds;
    bool binary, raw, exchange, deflate, no_takeover;
} options;

void parse_options(int argc, char **argv);

/* messages.c: what is sent, and the frames of RFC 6455. */

enum {
    MAX_FRAME_HEADER = 14,      /* RFC 6455 5.2: 2 bytes, 8 of extended length, 4 of masking key */
    MAX_CONTROL_FRAME = 127,    /* RFC 6455 5.5: 2 bytes and 125 of payload */
    FIN = 0x80,
    RSV1 = 0x40,                /* RFC 7692 6: the message is deflated */
    DEFLATE_OVERHEAD = 6,       /* see deflate_stored() */
};

enum opcode { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8 };

void fill_message(uint8_t *message, size_t size, bool binary);
size_t deflate_stored(uint8_t *deflated, const uint8_t *message, size_t size);
size_t write_frame(uint8_t *frame, uint8_t first, const uint8_t *data, size_t length);
size_t frame_header_length(const uint8_t *head);

/* tools.c: errors, clocks, memory and a histogram of latencies. */

void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void *allocate(size_t count, size_t size);
int64_t now(void);
int64_t cpu_time(void);
void record_latency(int64_t nanoseconds);
double percentile_us(double fraction);

#endif
