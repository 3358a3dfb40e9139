"""Senders in Python: ours, and peers that have a virtual environment of their own."""
