"""Every reason for which a message or notification is refused, deferred or not delivered: one catalogue.

Each module holds the rows of one source as data; `catalogue` joins them and answers questions about them.
"""
