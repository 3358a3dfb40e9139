"""The process that owns sockets, configuration and totals, and keeps the workers running."""
