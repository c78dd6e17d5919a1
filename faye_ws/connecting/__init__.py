"""The way of a client to its server: names, TCP, proxies, TLS, and the opening handshake."""
