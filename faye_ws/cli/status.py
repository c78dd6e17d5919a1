"""The exit statuses of the command line, which its help explains."""

OK, NOT_OPENED, MISUSED, LOST, CLOSED_OTHERWISE, INCOMPLETE = range(6)
INTERRUPTED = 130
