"""The only package that knows kopf, as an event source: it watches our three kinds, nothing more."""
