"""Benchmarks: the whole path and its HTTP/2 half, against a naive stack of stock libraries. `make bench`."""
