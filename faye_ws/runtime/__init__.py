"""The gevent runtime: the only floor that touches sockets or the hub.

A connection at rest holds no greenlet. The hub reads and parses; worker greenlets run the
listeners; writes never switch; one heartbeat per hub keeps every deadline.
"""
