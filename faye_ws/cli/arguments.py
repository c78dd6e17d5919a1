"""The arguments of the command line, and its help, which is also its manual."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from .output import standard_error, standard_output
from .status import INCOMPLETE, MISUSED

USAGE = "faye-ws [options] URL"
DESCRIPTION = """\
Talk to a WebSocket server (ws://, wss://), or show an event stream (http://, https://).

On a terminal, what you type is sent line by line, and what comes is shown above the line
that you type. In a pipe, each line of the input is a message, and each message a line of
the output. Text is sent and shown as it is, binary messages as hexadecimal digits. Of an
event stream the data is shown, with --verbose the type and the ID, too; it is taken up again
when the connection is lost, until the server gives a final answer.
"""
EPILOG = """\
When the input ends, the connection is closed; what the server sends before it answers that
is still shown: it is asked for a pong, again and again until a round trip has passed without
a message. An input that is closed counts as one that has ended. With --count or --listen the
connection stays open.

What is shown on a terminal can't drive it: controls are escaped. What goes to a file or a
pipe is what has come, in UTF-8.

Exit status:
  0  closed normally (1000, 1001 or without a code), or after --count messages, or because
     nobody reads the output any more
  1  the connection could not be opened, or the event stream is over for good
  2  the command line is wrong
  3  the connection was lost (1006)
  4  closed with another code, which is shown
  5  something is missing: the input can't be read, the output can't be written, a line
     could not be sent, or the server does not answer when the input has ended
  129, 130, 143  ended by SIGHUP, SIGINT (Ctrl-C) or SIGTERM; the second one ends it at once

Examples:
  faye-ws wss://example.com/chat                       talk
  echo Hello | faye-ws --count 1 wss://example.com/    send one message, show one
  faye-ws --listen wss://example.com/feed > feed.txt   write down what comes
  faye-ws --count 10 https://example.com/events        show ten events
  faye-ws -H 'Authorization: Bearer TOKEN' --ping 30 wss://example.com/
"""


class Parser(argparse.ArgumentParser):
    """A parser that prints messages as the rest of the program does."""

    def error(self, message: str) -> NoReturn:
        """Exit with a message that says what is wrong."""
        self.exit(MISUSED, f"{self.format_usage()}{self.prog}: error: {message}")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Exit, with a message if there is one."""
        for line in message.split("\n") if message else ():
            standard_error().say(line)
        sys.exit(status)


class _Print(argparse.Action):
    """Prints its text, or the help, and exits."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        try:
            standard_output().write(self.const or parser.format_help())
        except BrokenPipeError:
            pass  # The reader needs no more, which is not an error.
        except OSError as error:
            parser.exit(INCOMPLETE, f"{parser.prog}: can't write the output: {error}")
        parser.exit()


def make_parser(version: str) -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="faye-ws",
        usage=USAGE,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    add = parser.add_argument
    add("url", metavar="URL", help="where to connect")
    add("-v", "--verbose", action="store_true", help="show what the server has answered")
    add("-h", "--help", action=_Print, nargs=0, help="show this, and exit")
    version = f"faye-ws {version}\n"
    add("--version", action=_Print, nargs=0, const=version, help="show the version, and exit")
    _add_groups(parser)
    return parser


def _add_groups(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("messages").add_argument
    add("-b", "--binary", action="store_true", help="send binary: the input is hexadecimal")
    add("-c", "--count", type=_count, metavar="N", help="end when N messages have come")
    add("-l", "--listen", action="store_true", help="send nothing, and go on until closed")
    add("--last-event-id", default="", metavar="ID", help="take an event stream up behind it")
    add("-w", "--wait", type=_seconds, metavar="SECONDS", help="wait so long after the input")

    add = parser.add_argument_group("opening handshake").add_argument
    add("-p", "--protocol", action="append", default=[], help="ask for a subprotocol; repeatable")
    add(
        "-H",
        "--header",
        action="append",
        default=[],
        type=_header,
        metavar="'NAME: VALUE'",
        help="add a header field; repeatable",
    )
    add("-o", "--origin", help="the Origin, as of a web page")
    add("-z", "--compress", action="store_true", help="offer permessage-deflate")
    add("--redirects", type=int, default=0, metavar="N", help="follow up to N redirects")

    add = parser.add_argument_group("network").add_argument
    add("--proxy", metavar="URL", help="http, https, socks5 or socks5h; or the environment's")
    add("--no-proxy", action="store_true", help="heed no proxy of the environment")
    add("--ca", metavar="FILE", help="trust this authority in place of the system's")
    add("--cert", metavar="FILE", help="a certificate of our own")
    add("--key", metavar="FILE", help="its key")
    add("--insecure", action="store_true", help="trust every certificate")
    add("--ping", type=_seconds, metavar="SECONDS", help="send a ping every so often")
    add("--timeout", type=_seconds, default=10.0, metavar="SECONDS", help="to open or close (10)")

    add = parser.add_argument_group("terminal").add_argument
    add("--color", choices=("auto", "always", "never"), default="auto", help="(auto)")
    add("--no-history", action="store_true", help="neither read nor keep what is typed")


def parse_arguments(arguments: Sequence[str] | None, version: str) -> argparse.Namespace:
    """Return the options; if they are wrong, print why and exit with 2."""
    parser = make_parser(version)
    options = parser.parse_args(arguments)
    if options.proxy and options.no_proxy:
        parser.error("--proxy and --no-proxy contradict each other")
    if options.key and not options.cert:
        parser.error("--key is nothing without --cert")
    return options


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1: {text}")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0: {text}")
    return number


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"must be 'NAME: VALUE': {text!r}")
    return name.strip(), value.strip()
