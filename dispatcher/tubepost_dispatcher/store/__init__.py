"""Keeps notifications that were acknowledged until they end: the port, in memory, and on disk."""
