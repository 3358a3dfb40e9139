"""SMTP: the listener, by composition over aiosmtpd's authentication, and the client for relays.

Knows the envelope, a `Reply` and the acceptance port; nothing of push.
"""
