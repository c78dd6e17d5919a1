"""The exit statuses of the command line, as its help has them."""

OK, NOT_OPENED, MISUSED, LOST, CLOSED_OTHERWISE, INCOMPLETE = range(6)
INTERRUPTED = 130
