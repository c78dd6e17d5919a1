"""How a client gets to its server: names, TCP, proxies, TLS, and the opening handshake.

opening      the whole way of a WebSocket client, redirects included
connector    its steps over a socket, each waiting in the calling greenlet only
proxies      which proxy to use: the application's, the environment's, or none
http_tunnel  asking an HTTP proxy for a tunnel (CONNECT), without I/O
socks        asking a SOCKS5 proxy for a tunnel, without I/O
tls          TLS settings, and TLS over a non-blocking socket
"""
