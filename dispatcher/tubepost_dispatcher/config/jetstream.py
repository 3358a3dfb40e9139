"""A queue on JetStream: what its document and its Secrets come to, for the store."""

from __future__ import annotations

import hashlib
import ssl

from tubepost_api.config_jetstream import JetStreamConfig, JetStreamPlacement, JetStreamTlsConfig
from tubepost_credentials.secrets import Material
from tubepost_credentials.tls import load_authorities, load_key_pair
from tubepost_dispatcher.store.jetstream.settings import Identity, JetStreamSettings


def jet_stream_settings(config: JetStreamConfig, material: Material) -> JetStreamSettings | None:
    """The stream with all that it takes to reach it; None: one of its Secrets cannot be used.

    Nothing is tried without what was asked for: not without the user, and not by other authorities.

    Raises:
        ssl.SSLError: OpenSSL finds certificate or key too weak.
        ValueError: the private key is encrypted.
    """
    user, password = material.jet_stream_account or ("", "")
    if config.account is not None and not user:
        return None
    if (config.credentials or config.nkey) is not None and material.jet_stream_key is None:
        return None
    tls = None
    if config.encrypted:
        tls = _context(config.tls or JetStreamTlsConfig(), material)
        if tls is None:
            return None
    placement = config.placement or JetStreamPlacement()
    return JetStreamSettings(
        servers=config.servers,
        stream=config.stream,
        prefix=config.subject_prefix,
        replicas=config.replicas,
        max_age=config.max_age or 0.0,
        max_bytes=config.max_bytes,
        cluster=placement.cluster or "",
        tags=placement.tags,
        identity=Identity(material.jet_stream_key, user, password),
        tls=tls,
        tls_mark="" if tls is None else _mark(config.tls or JetStreamTlsConfig(), material),
    )


def _mark(tls: JetStreamTlsConfig, material: Material) -> str:
    """Equal where the Secrets hold the same: a context does not tell."""
    pair = material.jet_stream_certificate if tls.certificate is not None else None
    parts = (
        material.jet_stream_authorities if tls.ca is not None else None,
        *((pair.certificate_pem, pair.private_key_pem) if pair is not None else ()),
    )
    whole = hashlib.sha256()
    for part in parts:
        whole.update(b"-" if part is None else b"%d:%s" % (len(part), part))
    return whole.hexdigest()


def _context(tls: JetStreamTlsConfig, material: Material) -> ssl.SSLContext | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.ca is None:
        context.load_default_certs()
    elif material.jet_stream_authorities is None:
        return None
    else:
        load_authorities(context, material.jet_stream_authorities)
    if tls.certificate is not None and tls.private_key is not None:
        pair = material.jet_stream_certificate
        if pair is None:
            return None
        load_key_pair(context, pair.certificate_pem, pair.private_key_pem)
    return context
