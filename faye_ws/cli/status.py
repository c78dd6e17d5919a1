"""The exit statuses of the command line, as its help has them."""

OK, NOT_OPENED, MISUSED, LOST, CLOSED_OTHERWISE = range(5)
INTERRUPTED = 130
