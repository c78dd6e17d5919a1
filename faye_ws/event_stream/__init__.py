"""The event-stream format (WHATWG HTML, 9.2.5 and 9.2.6), without I/O."""
