"""Options and scopes of Momentum that concern no push, or nothing that there is here, and why.

Source of the names: the summary of all options and the list of modules in Momentum's manual.
"""

from __future__ import annotations

from typing import Final

MAIL: Final = "about mail by SMTP: it stays with your mail server"
_OWN: Final = "of Momentum's own process; a dispatcher needs no such setting"
_REASONS: Final[tuple[tuple[str, str], ...]] = (
    (
        """
        adaptive_* connection_allocation_aggressiveness migrate_connections_between_sibling_domains
        """,
        "connections and pace follow APNs' answers by themselves",
    ),
    (
        "cluster_* server_max_outbound* server_reserve_* scope_max_* outbound_throttle_connections",
        "limits count for a pod; the number of pods is spec.replicas",
    ),
    (
        """
        dns_* mx_failures_* max_dns_ttl min_dns_ttl fully_resolve_before_smtp resolv_conf
        only_use_best_mx_for_relay_domains
        """,
        "APNs' name is resolved by the pod's resolver",
    ),
    (
        """
        ehlo_* mailfrom_timeout rcptto_timeout body_timeout rset_timeout lmtp_port ecstream_* remote_smtp_port
        gateway delivery_pool domainkeys opendkim_sign dk dkim xclient send_8bitmime
        transform_8bitmime_content trace_smtp_mode max_recipients_per_batch max_recipients_per_connection
        expensive_batch_assessment
        prohibited_hosts skip_hosts http_* mm7_* gcm_* smpp_* xmpp_* use_sendfile outbound_smtp_* hostname
        alias_schemes mailerdaemon mdn_failures_notify default_charset response_transcode_* click_tracking_*
        open_tracking_* tracking_* engagement* relay_domains open_relay
        """,
        MAIL,
    ),
    (
        """
        bind_address* binding_auto_* default_binding enable_duravip duravip_* arp_all_hosts use_ipv6
        delayed_binding_domain_fuzz unconditional_rebind
        """,
        "the address that connections come from is the cluster's business",
    ),
    (
        """
        bounce_* bounces_* async_bounce_rendering clear_mail_queue_maintainers soft_bounce_drain_rate
        delay_dsn_* generate_bounces_for_*
        """,
        "reports are RFC 3464's, and go through a relay: bounces",
    ),
    (
        """
        spool* _unsafe_spool permastore_interval max_resident_* keep_message_dicts_in_memory
        transfail_drain_rate delayed_queue_scan_interval disk_queue_drain_rate inline_transfail_processing
        drop_body_after_trans_fail large_message_threshold legacy_message_threshold mime_parse_* force_fsync
        unlink_on_spool_in_failure mail_queue_* reserve_maintenance_interval use_mmap
        """,
        "the queue is SQLite on a volume: queue",
    ),
    (
        """
        memory_* growbuf_size malloc2mmap_threshold umem_reap_interval stack_size initial_hash_buckets
        events_per_iter max_timed_events_per_iter pcre_cache_* match_cache_* siv_throttle_cache_size tcp_*
        disable_nagle_algorithm backlog listen_backlog accept_queue_backlog concurrency pool_name event_loop
        eventloop server_max_file_descriptors thread* maintainer_pool max_idle max_open
        """,
        "memory, threads and sockets need no tuning here",
    ),
    (
        """
        rfc28* allow_* require_ehlo domain_for_unqualified_* received_hostname static_banner reconfig_message
        exclude_vctx_* inbound_throttle_messages max_request_size disable_chunked
        """,
        "SMTP is RFC 5321's, its bounds are listener.limits",
    ),
    (
        """
        user group supplemental_groups chroot capabilities pidfile license control_* crypto_* ssl_lock_method
        local_changes_* masterdb_file log_* timestampformat nodename nodeaddr topology view_* heartbeat*
        enabled debug_level address_metrics_* never_* connect_timeout_to_delay host_failure_retry suppress_*
        enable_fbl_header_insertion
        """,
        _OWN,
    ),
)
_HTTP: Final = "requests have a listener and a JSON of their own: PushDomain spec.rest"
_SCOPES: Final[tuple[tuple[str, str], ...]] = (
    (
        """
        control_listener ecstream_listener eccluster_listener msgcserver_listener xmpp_listener smpp_listener
        authorization security host debug_flags snmp cluster logs datasource threadpool eventloop
        adaptive_backstore_leveldb adaptive_backstore_riak node server replicate persist_io pipe_io syslog_io
        """,
        _OWN,
    ),
    (
        """
        ec_logger bounce_logger custom_logger chunk_logger smpp_logger gcm_logger mm7_logger xmpp_logger
        exim_logger postfix_logger sendmail_logger ilf_logger http_logger event_hydrant fbl inbound_audit
        """,
        "logs of mail: what is logged here is of pushes, by ApnLoggers",
    ),
    (
        """
        adaptive adaptive_sweep_rule alerting alias antivirus brightmail clamav cloudmark commtouch_ctasd
        csapi eleven dk_sign dk_validate dkim_domain dk_domain opendkim senderid spf_macros spf domainkeys
        smtp_cbv seedlist compress_spool suppress_spool delay_dsn
        bounce_classifier_override engagement_tracker msg_gen
        msgc_client msgc_server maildir outbound_smtp_auth smtp_auth_proxy response_transcode url_ripper
        fingerprint dnsbuf bind_address_secondary conntrol smpp gcm mm7 xmpp beik
        """,
        MAIL,
    ),
    ("http_listener rest_injector", _HTTP),
)
SCOPES: Final = {name: why for names, why in _SCOPES for name in names.split()}
"""Scopes that have no counterpart, and why."""
SCRIPTS: Final = frozenset({"scriptlet", "sieve", "script", "lua", "perl", "java"})
"""Scopes that run programs: somebody has to look whether these touch pushes."""
AUTHENTICATION: Final = frozenset(
    {"ac_auth", "auth_ds", "auth_radius", "authenticate", "ds_ldap", "securecreds", "ds_core"}
)
"""Scopes that say who may log in."""

_WORDS: Final = {word: why for words, why in _REASONS for word in words.split()}
_EXACT: Final = {word: why for word, why in _WORDS.items() if not word.endswith("*")}
_BEGINNINGS: Final = {word[:-1]: why for word, why in _WORDS.items() if word.endswith("*")}


def no_counterpart(option: str) -> str | None:
    """Why an option has no counterpart; None for one that is not known."""
    if option in _EXACT:
        return _EXACT[option]
    return next((why for beginning, why in _BEGINNINGS.items() if option.startswith(beginning)), None)
