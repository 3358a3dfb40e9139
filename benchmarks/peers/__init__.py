"""Contestants of the HTTP/2 half: small senders around other people's libraries, and how they are built.

All take the same flags (`contract.py`), send as fast as the sink answers until their standard input ends,
wait for what is under way, and print how many requests were answered 200: `{"total": 123}`.
"""
