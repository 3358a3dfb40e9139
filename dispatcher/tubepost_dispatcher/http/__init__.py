"""Notifications as HTTP requests: knows an envelope, a reply and the acceptance port, nothing of push."""
