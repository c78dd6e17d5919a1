/* load.c: the clients of the benchmarks, all of them in one single-threaded process.
 *
 * It has to be so much faster than any server that the server is what is measured. Hence C, epoll,
 * frames that are masked once and sent many times, and no allocation after the start. It reports
 * the processor time it used itself, so that run.py can tell when that was not fast enough.
 *
 *     load echo      --port P --connections N --size BYTES --in-flight N --warm-up S --seconds S
 *                    [--binary] [--raw]
 *     load broadcast --port P --connections N --size BYTES --in-flight N --warm-up S --seconds S
 *                    [--binary] [--deflate]
 *     load handshake --port P --connections N --warm-up S --seconds S
 *     load idle      --port P --connections N [--exchange --size BYTES [--deflate [--no-takeover]]]
 *                    [--raw]
 *
 * All but idle print the line MEASURING when the warm-up is over and a line of JSON when the time
 * is up. In broadcast the first connection sends messages, each another one, that the server has to
 * send to all connections, the first included; what is counted is deliveries. The next message goes
 * when all have got the one `in-flight` before it.
 *
 * idle prints a line of JSON when all connections are open, holds them until its standard input
 * ends, and then prints how many were lost meanwhile. With --exchange a connection counts as open
 * when one message has been echoed.
 *
 * With --deflate permessage-deflate is offered as browsers do. The server has to accept it, with
 * --no-takeover without any context takeover, and to deflate every message. What comes is not
 * inflated: it only has to be shorter than the message. With --raw the server is a plain TCP echo:
 * it is sent the very same bytes and has to return them.
 *
 * Whatever a server does wrong (a wrong answer, a dropped connection, ten seconds of silence) ends
 * the run with a sentence on standard error and status 1.
 */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MAX_RESPONSE = 4096,        /* of a handshake's answer */
    INBOX = 512 * 1024,         /* what one recv() may take */
    OPENING_AT_ONCE = 64,       /* connections: below the listen backlog of every server */
    SOURCE_ADDRESSES = 32,      /* see source_address() */
    VERIFY_ONE_IN = 8,          /* messages whose content is compared, not only their length */
    PATIENCE = 10,              /* seconds without a byte from the server */
};

enum phase { CONNECTING, OPENING, EXCHANGING, OPEN, CLOSING };

struct connection {
    int fd;
    enum phase phase;
    bool watches_writes;
    bool final;                 /* the frame that is arriving has FIN */
    uint8_t head[MAX_RESPONSE]; /* the handshake's answer, later a frame's header, so far */
    size_t head_length;
    uint64_t payload_left;      /* of the frame that is arriving */
    uint64_t received;          /* of the message that is arriving */
    uint64_t messages;          /* that have arrived whole */
    uint64_t warmed_up;         /* how many of them before the measurement began */
    size_t to_send;             /* bytes allowed to go, but not yet taken by the kernel */
    size_t sent;                /* of the frame that is leaving */
    int64_t *sent_at;           /* of the messages in flight; a handshake's first is its start */
};

/* The key is that of RFC 6455 1.3, whose answer is known: no SHA-1 is needed to verify it. */
static const char expected_accept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

static const char offer[] =
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

static char request[512];
static size_t request_length;
static uint8_t *payload;        /* of each message in flight: what has to come back */
static uint8_t *deflated;       /* a payload as it is sent with permessage-deflate */
static uint8_t *batch;          /* in_flight + 1 masked frames, one after the other */
static size_t frame_length;
static uint8_t close_frame[8];

static struct connection *connections;
static int poll_fd;
static uint8_t inbox[INBOX];
static unsigned started, opened, lost;
static bool measuring;
static uint64_t counted;
static int64_t last_progress;
static uint64_t broadcasts;     /* sent so far */
static unsigned *deliveries;    /* of each broadcast in flight */

/* Of the messages an average connection got answered, the part that the worst-served one got. One
 * that starves hardly shows in the percentiles, since what it waits for has not arrived. */
static double least_share(void)
{
    uint64_t total = 0, least = UINT64_MAX;
    for (unsigned i = 0; i < options.connections; i++) {
        uint64_t answered = connections[i].messages - connections[i].warmed_up;
        total += answered;
        if (answered < least)
            least = answered;
    }
    return least / ((double)total / options.connections);
}

/* What is sent: prepared once. */

/* In echo all messages are the same; in broadcast there is a slot for each that is in flight. */
static void write_message(unsigned slot)
{
    uint8_t *message = payload + slot * options.size;
    uint8_t first = FIN | (options.binary ? BINARY : TEXT);
    size_t length = options.size;
    fill_message(message, length, options.binary);
    if (options.deflate) {
        first |= RSV1;
        length = deflate_stored(deflated, message, length);
        message = deflated;
    }
    /* The first one is of slot 0, so it does not matter that the length is not known yet. */
    frame_length = write_frame(batch + slot * frame_length, first, message, length);
}

static void prepare(void)
{
    payload = allocate(options.in_flight, options.size);
    deflated = allocate(options.size + DEFLATE_OVERHEAD, 1);
    batch = allocate(options.in_flight + 1, options.size + DEFLATE_OVERHEAD + MAX_FRAME_HEADER);
    deliveries = allocate(options.in_flight, sizeof *deliveries);
    write_message(0);
    for (unsigned i = 1; i <= options.in_flight; i++)
        memcpy(batch + i * frame_length, batch, frame_length);
    /* 1000, a normal closure */
    write_frame(close_frame, FIN | CLOSE, (const uint8_t *)"\x03\xe8", 2);
    request_length = snprintf(request, sizeof request,
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
        options.port, options.deflate ? offer : "");
}

/* Connections. */

static void watch(struct connection *c, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poll_fd, operation, c->fd, &event) < 0)
        fail("epoll_ctl: %s", strerror(errno));
    c->watches_writes = (events & EPOLLOUT) != 0;
}

/* An address has some 28,000 ports, each of which rests for a minute after we have closed first.
 * But loopback has many addresses. */
static struct sockaddr_in source_address(unsigned index)
{
    in_addr_t address = INADDR_LOOPBACK + 1 + index % SOURCE_ADDRESSES;
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
}

static void start(struct connection *c)
{
    struct sockaddr_in source = source_address(started++);
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(options.port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int64_t *sent_at = c->sent_at;
    memset(c, 0, sizeof *c);
    c->sent_at = sent_at;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        fail("cannot make socket %u: %s", started, strerror(errno));
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(c->fd, (struct sockaddr *)&source, sizeof source) < 0)
        fail("cannot bind to a loopback address: %s", strerror(errno));
    c->sent_at[0] = now();
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
        fail("cannot connect: %s", strerror(errno));
    watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void send_whole(struct connection *c, const void *data, size_t length)
{
    if (send(c->fd, data, length, MSG_NOSIGNAL) != (ssize_t)length)
        fail("cannot send %zu bytes in connection %u: %s", length, started, strerror(errno));
}

static void dropped(struct connection *c, const char *reason)
{
    fail("the server dropped a connection after %ju messages: %s", (uintmax_t)c->messages, reason);
}

static void send_pending(struct connection *c)
{
    while (c->to_send > 0) {
        ssize_t n = send(c->fd, batch + c->sent, c->to_send, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            dropped(c, strerror(errno));
        if (n < 0)
            break;
        c->to_send -= n;
        c->sent = (c->sent + n) % frame_length;
    }
    bool blocked = c->to_send > 0;
    if (blocked != c->watches_writes)
        watch(c, EPOLL_CTL_MOD, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void send_messages(struct connection *c, unsigned count, int64_t time)
{
    for (unsigned i = 0; i < count; i++)
        c->sent_at[(c->messages + options.in_flight - count + i) % options.in_flight] = time;
    c->to_send += count * frame_length;
    send_pending(c);
}

static void count_one(int64_t since, int64_t time)
{
    if (!measuring)
        return;
    counted++;
    record_latency(time - since);
}

/* Send the next broadcast. That is little enough for the kernel to take it whole. */
static void send_broadcast(int64_t time)
{
    unsigned slot = broadcasts++ % options.in_flight;
    write_message(slot);
    deliveries[slot] = 0;
    connections[0].sent_at[slot] = time;
    send_whole(&connections[0], batch + slot * frame_length, frame_length);
}

static void message_arrived(struct connection *c, int64_t time)
{
    struct connection *sender = options.mode == BROADCAST ? &connections[0] : c;
    count_one(sender->sent_at[c->messages % options.in_flight], time);
    c->messages++;
    c->received = 0;
}

/* What arrives. */

/* Compare data with what is expected of this message from c->received on. */
static void compare(struct connection *c, const uint8_t *message, const uint8_t *data, size_t n)
{
    if (c->messages % VERIFY_ONE_IN == 0 && memcmp(message + c->received, data, n) != 0)
        fail("message %ju came back changed", (uintmax_t)c->messages);
}

static const uint8_t *expected_message(const struct connection *c)
{
    unsigned slot = options.mode == BROADCAST ? c->messages % options.in_flight : 0;
    return payload + slot * options.size;
}

static void begin_frame(struct connection *c)
{
    uint64_t length = c->head[1] & 0x7f;
    size_t end = frame_header_length(c->head);
    if (end > 2)
        length = 0;
    for (size_t i = 2; i < end; i++)
        length = length << 8 | c->head[i];
    /* A message may come in several frames: those after the first are continuations. */
    uint8_t expected = options.binary ? BINARY : TEXT;
    expected = c->received > 0 ? CONTINUATION : options.deflate ? RSV1 | expected : expected;
    if ((c->head[0] & ~FIN) != expected || (c->head[1] & 0x80) != 0)
        fail("frame header %02x %02x instead of an unmasked frame that begins with %02x",
             c->head[0], c->head[1], expected);
    c->final = (c->head[0] & FIN) != 0;
    uint64_t total = c->received + length;
    bool too_long = options.deflate ? total >= options.size : total > options.size;
    if (too_long || (c->final && total < options.size && !options.deflate))
        fail("a message of %ju bytes instead of %zu", (uintmax_t)total, options.size);
    c->payload_left = length;
    c->head_length = 0;
}

static void receive_frames(struct connection *c, const uint8_t *data, size_t length, int64_t time)
{
    const uint8_t *end = data + length;
    while (data < end) {
        if (c->payload_left == 0) {
            c->head[c->head_length++] = *data++;
            if (c->head_length >= 2 && c->head_length == frame_header_length(c->head))
                begin_frame(c);
            continue;
        }
        size_t n = (size_t)(end - data) < c->payload_left ? (size_t)(end - data) : c->payload_left;
        if (!options.deflate)
            compare(c, expected_message(c), data, n);
        data += n;
        c->received += n;
        c->payload_left -= n;
        if (c->payload_left == 0 && c->final)
            message_arrived(c, time);
    }
}

static void receive_raw(struct connection *c, const uint8_t *data, size_t length, int64_t time)
{
    while (length > 0) {
        size_t n = frame_length - c->received < length ? frame_length - c->received : length;
        compare(c, batch, data, n);
        data += n;
        length -= n;
        c->received += n;
        if (c->received == frame_length)
            message_arrived(c, time);
    }
}

static void connection_opened(struct connection *c);

/* Send again what has been answered: to everybody when everybody has got it. */
static void send_again(struct connection *c, uint64_t before, int64_t time)
{
    if (options.mode == ECHO)
        send_messages(c, c->messages - before, time);
    for (; options.mode == BROADCAST && before < c->messages; before++)
        if (++deliveries[before % options.in_flight] == options.connections)
            send_broadcast(time);
}

static void receive_messages(struct connection *c, const uint8_t *data, size_t length)
{
    int64_t time = now();
    uint64_t before = c->messages;
    if (options.raw)
        receive_raw(c, data, length, time);
    else
        receive_frames(c, data, length, time);
    if (c->messages == before)
        return;
    uint64_t sent = options.mode == BROADCAST ? broadcasts : before + options.in_flight;
    if (c->messages > sent)
        fail("more messages came back than were sent");
    if (c->phase == EXCHANGING)
        connection_opened(c);
    else
        send_again(c, before, time);
}

static void begin_sending(void)
{
    for (unsigned i = 0; options.mode == ECHO && i < options.connections; i++)
        send_messages(&connections[i], options.in_flight, now());
    for (unsigned i = 0; options.mode == BROADCAST && i < options.in_flight; i++)
        send_broadcast(now());
}

static void connection_opened(struct connection *c)
{
    c->head_length = 0;
    if (options.exchange && c->phase == OPENING) {
        c->phase = EXCHANGING;
        send_messages(c, 1, now());
        return;
    }
    c->phase = OPEN;
    opened++;
    if (options.mode == HANDSHAKE) {
        count_one(c->sent_at[0], now());
        c->phase = CLOSING;
        send_whole(c, close_frame, sizeof close_frame);
    } else if (started < options.connections) {
        start(&connections[started]);
    } else if (opened == options.connections) {
        begin_sending();
    }
}

static void check_response(const char *head)
{
    if (strncmp(head, "HTTP/1.1 101", 12) != 0 || strstr(head, expected_accept) == NULL)
        fail("the handshake was not accepted: %.*s", (int)strcspn(head, "\r\n"), head);
    bool deflate = strstr(head, "permessage-deflate") != NULL;
    bool no_takeover = strstr(head, "server_no_context_takeover") != NULL
                       && strstr(head, "client_no_context_takeover") != NULL;
    if (deflate != options.deflate || no_takeover != options.no_takeover)
        fail("the handshake settled for another compression");
}

static void receive_response(struct connection *c, const uint8_t *data, size_t length)
{
    if (c->head_length + length >= MAX_RESPONSE)
        fail("the answer to the handshake is longer than %d bytes", MAX_RESPONSE);
    memcpy(c->head + c->head_length, data, length);
    c->head_length += length;
    c->head[c->head_length] = 0;
    const char *head = (const char *)c->head;
    if (options.raw) {
        if (c->head_length > request_length || memcmp(head, request, c->head_length) != 0)
            fail("the echo returned other bytes than it got");
        if (c->head_length == request_length)
            connection_opened(c);
        return;
    }
    const char *end = strstr(head, "\r\n\r\n");
    if (end == NULL)
        return;
    check_response(head);
    if (end + 4 != head + c->head_length)
        fail("%zu bytes follow the handshake unasked", c->head_length - (end + 4 - head));
    connection_opened(c);
}

static void receive_close(struct connection *c, const uint8_t *data, size_t length)
{
    if (c->head_length + length > MAX_CONTROL_FRAME)
        fail("more than a close frame came as the answer to a close frame");
    memcpy(c->head + c->head_length, data, length);
    c->head_length += length;
    if (c->head[0] != (0x80 | CLOSE) || (c->head_length >= 2 && c->head_length > 2u + c->head[1]))
        fail("%02x %02x came as the answer to a close frame", c->head[0], c->head[1]);
    if (c->head_length < 2 || c->head_length < 2u + c->head[1])
        return;
    /* RFC 6455 7.1.1 wants the server to close first. Some leave that to us: we do not wait. */
    close(c->fd);
    start(c);
}

static void connection_ended(struct connection *c, const char *reason)
{
    if (options.mode != IDLE || c->phase != OPEN)
        dropped(c, reason);
    close(c->fd);
    lost++;
}

static void readable(struct connection *c)
{
    ssize_t n = recv(c->fd, inbox, sizeof inbox, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        connection_ended(c, n == 0 ? "end of stream" : strerror(errno));
    else if (c->phase == OPENING)
        receive_response(c, inbox, n);
    else if (c->phase == CLOSING)
        receive_close(c, inbox, n);
    else if (c->phase == EXCHANGING || (options.mode != IDLE && opened == options.connections))
        receive_messages(c, inbox, n);
    else
        fail("%zd bytes came unasked, the first is %02x", n, inbox[0]);
}

static void writable(struct connection *c)
{
    if (c->phase != CONNECTING) {
        send_pending(c);
        return;
    }
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0)
        fail("cannot connect: %s", strerror(error));
    c->phase = OPENING;
    send_whole(c, request, request_length);
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

/* Return whether standard input has ended. */
static bool dispatch_events(void)
{
    struct epoll_event events[256];
    int count = epoll_wait(poll_fd, events, 256, 20);
    bool input_ended = false;
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        if (c == NULL) {
            input_ended = true;
            continue;
        }
        if (events[i].events & EPOLLOUT)
            writable(c);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            readable(c);
    }
    int64_t time = now();
    if (count > 0)
        last_progress = time;
    bool holding = options.mode == IDLE && opened == options.connections;
    if (time - last_progress > PATIENCE * INT64_C(1000000000) && !holding)
        fail("the server was silent for %d seconds; %u connections were opened", PATIENCE, opened);
    return input_ended;
}

/* The modes. */

static void measure(void)
{
    while (options.mode != HANDSHAKE && opened < options.connections)
        dispatch_events();
    int64_t warm = now() + (int64_t)(options.warm_up * 1e9);
    while (now() < warm)
        dispatch_events();
    puts("MEASURING");
    fflush(stdout);
    for (unsigned i = 0; i < options.connections; i++)
        connections[i].warmed_up = connections[i].messages;
    measuring = true;
    int64_t cpu = cpu_time(), begin = now(), end = begin + (int64_t)(options.seconds * 1e9);
    while (now() < end)
        dispatch_events();
    double seconds = (now() - begin) / 1e9;
    cpu = cpu_time() - cpu;
    if (counted == 0)
        fail("nothing came back within %.1f seconds", seconds);
    printf("{\"count\": %ju, \"seconds\": %.6f, \"cpu_seconds\": %.6f",
           (uintmax_t)counted, seconds, cpu / 1e9);
    printf(", \"p50_us\": %.1f, \"p99_us\": %.1f", percentile_us(0.5), percentile_us(0.99));
    if (options.mode == ECHO)
        printf(", \"least_share\": %.4f", least_share());
    puts("}");
}

static void hold(void)
{
    int64_t begin = now();
    while (opened < options.connections)
        dispatch_events();
    printf("{\"open\": %u, \"seconds\": %.6f}\n", opened, (now() - begin) / 1e9);
    fflush(stdout);
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0)
        fail("standard input has to be a pipe: %s", strerror(errno));
    while (!dispatch_events())
        continue;
    printf("{\"lost\": %u}\n", lost);
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    prepare();
    poll_fd = epoll_create1(0);
    connections = allocate(options.connections, sizeof *connections);
    for (unsigned i = 0; i < options.connections; i++)
        connections[i].sent_at = allocate(options.in_flight, sizeof(int64_t));
    last_progress = now();
    unsigned at_once = options.connections;
    if (options.mode != HANDSHAKE && at_once > OPENING_AT_ONCE)
        at_once = OPENING_AT_ONCE;
    for (unsigned i = 0; i < at_once; i++)
        start(&connections[i]);
    if (options.mode == IDLE)
        hold();
    else
        measure();
    return 0;
}
