"""The hash that operator and dispatcher tell configurations apart by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from tubepost_api.config import DispatcherConfig


def bundle_digest(config: DispatcherConfig, secrets: Mapping[str, Mapping[str, bytes]]) -> str:
    """16 hex digits over a configuration and the contents of the Secrets that it names.

    It is the label of the metric `tubepost_config_info`. The generation is left out: a new number for the
    same contents is no change. A Secret that is not there counts like an empty one.
    """
    digest = hashlib.sha256(config.model_copy(update={"generation": 0}).to_json().encode())
    for name in sorted(config.secret_names()):
        digest.update(b"\0secret\0" + name.encode())
        for key, value in sorted(secrets.get(name, {}).items()):
            digest.update(b"\0key\0" + key.encode() + b"\0" + hashlib.sha256(value).digest())
    return digest.hexdigest()[:16]
