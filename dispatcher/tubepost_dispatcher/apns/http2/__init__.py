"""A client-side HTTP/2 engine without I/O, made for small requests."""
