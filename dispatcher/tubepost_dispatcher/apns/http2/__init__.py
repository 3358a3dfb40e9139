"""A client-side HTTP/2 engine without I/O, made for small requests.

`engine.Engine` is one connection: bytes in, results out, bytes to write. `results` holds what it tells,
`hpackenc` builds the header blocks that it takes. Nothing here knows a socket, a clock or APNs' meaning.
"""
