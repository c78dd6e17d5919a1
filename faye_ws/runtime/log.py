"""Where the library logs: disconnects at DEBUG, faults of the application at ERROR."""

import logging

logger = logging.getLogger("faye_ws")
