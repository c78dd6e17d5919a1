/* What the command line asks for. */
#include "load.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

struct options options = {
    .connections = 50, .in_flight = 1, .size = 32, .warm_up = 0.5, .seconds = 2
};

static double number(const char *text, double minimum, double maximum)
{
    char *end;
    double value = strtod(text, &end);
    if (*text == 0 || *end != 0 || !(value >= minimum && value <= maximum))
        fail("%s is not a number from %g to %g", text, minimum, maximum);
    return value;
}

static void set_option(int option, const char *value)
{
    switch (option) {
    case 'p': options.port = number(value, 1, 65535); break;
    case 'c': options.connections = number(value, 1, 1000000); break;
    case 's': options.size = number(value, 1, 64 << 20); break;
    case 'f': options.in_flight = number(value, 1, 4096); break;
    case 'w': options.warm_up = number(value, 0, 60); break;
    case 't': options.seconds = number(value, 0.01, 600); break;
    case 'b': options.binary = true; break;
    case 'r': options.raw = true; break;
    case 'x': options.exchange = true; break;
    case 'd': options.deflate = true; break;
    case 'n': options.no_takeover = true; break;
    default: exit(2);
    }
}

void parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},    {"connections", required_argument, NULL, 'c'},
        {"size", required_argument, NULL, 's'},    {"in-flight", required_argument, NULL, 'f'},
        {"warm-up", required_argument, NULL, 'w'}, {"seconds", required_argument, NULL, 't'},
        {"binary", no_argument, NULL, 'b'},        {"raw", no_argument, NULL, 'r'},
        {"exchange", no_argument, NULL, 'x'},      {"deflate", no_argument, NULL, 'd'},
        {"no-takeover", no_argument, NULL, 'n'},   {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
        set_option(option, optarg);
    static const char *const modes[] = {"echo", "broadcast", "handshake", "idle"};  /* enum mode */
    const char *mode = optind == argc - 1 ? argv[optind] : "";
    while (options.mode <= IDLE && strcmp(mode, modes[options.mode]) != 0)
        options.mode++;
    if (options.mode > IDLE || options.port == 0)
        fail("usage: load MODE --port P [options]; see the first lines of load.c");
    if (options.raw && (options.mode == BROADCAST || options.exchange || options.deflate))
        fail("a plain TCP echo knows no broadcasts and no WebSocket");
    if (options.deflate && options.size > UINT16_MAX)
        fail("a stored block has at most %d bytes", UINT16_MAX);
}
