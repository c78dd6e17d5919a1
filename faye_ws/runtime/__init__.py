"""The gevent runtime: the lowest layer that uses sockets and the hub.

An idle connection has no greenlet. The hub reads and parses; worker greenlets run the
listeners; writes never switch greenlets; one heartbeat per hub keeps all deadlines.
"""
