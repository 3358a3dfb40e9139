"""The listener's reasons: sessions and messages that SMTP itself refuses, and those of commands. Data."""

from __future__ import annotations

from typing import Final

from tubepost_dispatcher.reasons.commands import COMMAND_REASONS
from tubepost_dispatcher.reasons.spec import ReasonSpec, listener_row

_AGAIN = "Connect again; mail servers do so by themselves."

_SESSIONS = (
    listener_row(
        "ServiceClosing",
        421,
        "4.3.2",
        "Shutting down, try again",
        "The pod or its worker is being stopped or replaced; the session ended between two transactions.",
        _AGAIN,
    ),
    listener_row(
        "Overloaded",
        421,
        "4.3.2",
        "Too busy, try again later",
        "The dispatcher has no room for more messages that wait.",
        "Raise spec.replicas or the pod's memory if it lasts.",
    ),
    listener_row(
        "SessionExpired",
        421,
        "4.3.2",
        "Session has served its time, connect again",
        "The session reached spec.listener.limits.maxSessionAge or maxMessagesPerSession.",
        _AGAIN,
    ),
    listener_row(
        "CommandTimeout",
        421,
        "4.4.2",
        "Timeout, closing the connection",
        "The client did nothing useful for spec.listener.limits.commandTimeout, or for 10 s near "
        "maxConnections or maxConnectionsPerClient. NOOP, RSET and what was refused do not count.",
        "Close connections that are not in use, or raise commandTimeout.",
    ),
    listener_row(
        "MessageTooSlow",
        421,
        "4.4.2",
        "Too slow, closing the connection",
        "A message came at less than 1,024 bytes a second.",
        "Check the network between the sender and the pod.",
    ),
    listener_row(
        "TooManyConnections",
        421,
        "4.7.0",
        "Too many connections, try later",
        "spec.listener.limits.maxConnections sessions are open, and this address has its share of them.",
        "Let senders reuse connections, raise the limit, or raise spec.replicas.",
    ),
    listener_row(
        "ConnectionEvicted",
        421,
        "4.7.0",
        "Too many connections, this one makes room",
        "spec.listener.limits.maxConnections sessions are open, the most of them from this address, and a "
        "client with fewer came. Idle ones go first, those that authenticated or sent a message lately last.",
        "Close connections that are not in use, or raise the limit.",
    ),
    listener_row(
        "TooManyClientConnections",
        421,
        "4.7.0",
        "Too many connections from your address",
        "spec.listener.limits.maxConnectionsPerClient sessions are open from one address.",
        "Let the sender use fewer connections, or raise the limit.",
    ),
    listener_row(
        "TooManyErrors",
        421,
        "4.7.0",
        "Too many errors, closing the connection",
        "spec.listener.limits.maxErrors commands were refused since the last accepted message.",
        "See what the refused commands were answered.",
    ),
    listener_row(
        "TooManyAuthFailures",
        421,
        "4.7.0",
        "Too many failed authentications",
        "Three times in one session the name or the password was wrong.",
        "Compare the client's password with the Secret of spec.listener.auth.",
    ),
    listener_row(
        "AuthThrottled",
        421,
        "4.7.0",
        "Too many failed authentications from your address, try later",
        "The name or the password was wrong too often from this address; the wait grows with each failure, "
        "up to a minute, and nothing is compared meanwhile. A name that has authenticated from there before "
        "waits 5 s at most.",
        "Look in the log for the names that failed, and correct the client that uses them.",
    ),
    listener_row(
        "ClientNotAllowed",
        554,
        "5.7.1",
        "Client address not allowed",
        "The client's address is not in spec.listener.allowedNetworks.",
        "Add its network; behind a Service the address may be a node's.",
    ),
    listener_row(
        "NotSmtp",
        554,
        "5.5.1",
        "This is an SMTP server",
        "An HTTP request came.",
        "Point the client at another port.",
    ),
    listener_row(
        "ProxyHeader",
        554,
        "5.5.1",
        "PROXY protocol header not supported",
        "A header of the PROXY protocol came from an address that is not in "
        "spec.listener.proxyProtocol.trustedNetworks.",
        "Add the load balancer's network there, or switch the PROXY protocol off for this port.",
    ),
    listener_row(
        "ProxyHeaderExpected",
        421,
        "4.3.2",
        "PROXY protocol header expected",
        "A peer in spec.listener.proxyProtocol.trustedNetworks sent no header of the PROXY protocol for TCP "
        "within 5 s.",
        "Switch the PROXY protocol on at the load balancer, or take the peer's network out of "
        "trustedNetworks.",
    ),
    listener_row(
        "TlsTooEarly",
        554,
        "5.7.0",
        "TLS begins with STARTTLS here",
        "The client sent a TLS handshake where the greeting had to be answered (implicit TLS, SMTPS).",
        "Set the client to STARTTLS.",
    ),
)

_MESSAGES = (
    listener_row(
        "MessageTooLarge",
        552,
        "5.3.4",
        "Message size exceeds the limit",
        "The message, or the size that MAIL declared, is above spec.listener.limits.maxMessageSize.",
        "Send smaller messages, or raise the limit.",
    ),
    listener_row(
        "HeaderTooLarge",
        552,
        "5.3.4",
        "Message header exceeds the limit",
        "The message's header is above spec.listener.limits.maxHeaderSize.",
        "Send a smaller header, or raise the limit.",
    ),
    listener_row(
        "MessageLineTooLong",
        554,
        "5.6.0",
        "Message has a line that is longer than the limit",
        "A line of the message is above spec.listener.limits.maxLineLength.",
        "Encode the content as quoted-printable or base64, or raise the limit.",
    ),
    listener_row(
        "InsufficientStorage",
        452,
        "4.3.1",
        "Insufficient storage, try again later",
        "A message above 256 KiB could not be kept in a temporary file.",
        "Give the pod more ephemeral storage.",
    ),
)

LISTENER_REASONS: Final[tuple[ReasonSpec, ...]] = (*_SESSIONS, *COMMAND_REASONS, *_MESSAGES)
