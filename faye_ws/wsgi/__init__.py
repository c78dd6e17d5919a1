"""WSGI: what an environ says about a request, and how to take the socket from a server."""
