"""WSGI: reading a request's environ, and taking its socket from the server.

request   what an environ says about a request
socket    taking the socket of a request from its server
stopping  noticing that the server is being stopped
"""
