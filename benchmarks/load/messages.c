/* What is sent, and the frames of RFC 6455. */
#include "load.h"

#include <stdio.h>
#include <string.h>

static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

/* No short period: bytes out of place are noticed. */
static unsigned next_random(void)
{
    static uint32_t seed = 1;
    seed = seed * 1664525 + 1013904223;
    return seed >> 16;
}

static size_t write_record(char *record, size_t limit)
{
    static const char *const names[] = {"ada", "barbara", "edsger", "grace", "john", "niklaus"};
    static const char *const words[] = {"hello", "what", "about", "tomorrow", "never", "again",
                                        "tea", "here", "is", "the", "question", "why"};
    const char *spoken[4];
    for (int i = 0; i < 4; i++)
        spoken[i] = words[next_random() % (sizeof words / sizeof *words)];
    unsigned name = next_random() % (sizeof names / sizeof *names), id = next_random();
    return snprintf(record, limit, "{\"id\":%u,\"from\":\"%s\",\"text\":\"%s %s %s %s\"},\n", id,
                    names[name], spoken[0], spoken[1], spoken[2], spoken[3]);
}

/* Fill a message with random bytes, or with text that deflates about as well as JSON does: records
 * of a chat, the last one cut off. No message is like the one before. */
void fill_message(uint8_t *message, size_t size, bool binary)
{
    for (size_t at = 0; binary && at < size; at++)
        message[at] = next_random();
    char record[128];
    for (size_t at = 0, length; !binary && at < size; at += length) {
        length = write_record(record, sizeof record);
        if (length > size - at)
            length = size - at;
        memcpy(message + at, record, length);
    }
}

/* RFC 7692 7.2.3.3: a block that stores what it has, and the empty one that ends each message. A
 * server has to inflate it like any other, and no compressor is needed here. */
size_t deflate_stored(uint8_t *deflated, const uint8_t *message, size_t size)
{
    const uint8_t head[] = {0, size, size >> 8, ~size, ~size >> 8};
    memcpy(deflated, head, sizeof head);
    memcpy(deflated + sizeof head, message, size);
    deflated[sizeof head + size] = 0;
    return size + DEFLATE_OVERHEAD;
}

/* Write a masked frame; `first` is its first byte. */
size_t write_frame(uint8_t *frame, uint8_t first, const uint8_t *data, size_t length)
{
    size_t at = 0;
    frame[at++] = first;
    if (length < 126) {
        frame[at++] = 0x80 | length;
    } else {
        unsigned width = length < 65536 ? 2 : 8;
        frame[at++] = 0x80 | (width == 2 ? 126 : 127);
        while (width-- > 0)
            frame[at++] = (uint64_t)length >> (8 * width);
    }
    memcpy(frame + at, mask, sizeof mask);
    at += sizeof mask;
    for (size_t i = 0; i < length; i++)
        frame[at++] = data[i] ^ mask[i % 4];
    return at;
}

/* Return how long the header is that begins with these two bytes; it is unmasked. */
size_t frame_header_length(const uint8_t *head)
{
    unsigned length = head[1] & 0x7f;
    return 2 + (length == 127 ? 8 : length == 126 ? 2 : 0);
}
