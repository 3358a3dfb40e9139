"""Sidecar mode: a mutating webhook that puts a dispatcher into labelled pods.

`serve_webhook` runs on every replica, `keep_certificates` on the leader alone.
"""

from tubepost_operator.webhook.rotation import keep_certificates
from tubepost_operator.webhook.server import serve_webhook

__all__ = ["keep_certificates", "serve_webhook"]
