"""Conditions and their reasons: closed sets, the same for every kind.

Source of the shape: Kubernetes' metav1.Condition.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, WithJsonSchema

from tubepost_api.rules import SpecModel


class Word(enum.StrEnum):
    """A string that carries its explanation."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """Take the word and its meaning."""
        word = str.__new__(cls, value)
        word._value_ = value
        word.meaning = meaning
        return word


class ConditionType(Word):
    """What a condition is about. All are good when True."""

    ACCEPTED = ("Accepted", "The spec is valid by itself.")
    REFERENCES_RESOLVED = (
        "ReferencesResolved",
        "Every object and every key that the spec names exists, and can be read.",
    )
    CREDENTIALS_VALID = (
        "CredentialsValid",
        "Every credential can be used now: readable, complete, in its time, of its environment.",
    )
    PROGRAMMED = (
        "Programmed",
        "The dispatcher's objects exist as planned and it runs the newest configuration.",
    )
    READY = (
        "Ready",
        "The sum of those above, and a replica is there: the object does what its spec says.",
    )
    DELIVERING = (
        "Delivering",
        "APNs takes notifications: no route that is in use is held, or fails with every attempt.",
    )
    QUEUE_DURABLE = (
        "QueueDurable",
        "What is acknowledged and not delivered yet outlives its pod. Only where there is a queue.",
    )
    QUEUE_SETTLED = (
        "QueueSettled",
        "No pod or claim is kept only because its queue is not empty. Only where there is or was a queue.",
    )
    BOUNCES_DELIVERABLE = (
        "BouncesDeliverable",
        "There is a relay for the reports that senders are to get by mail. Only where they are to get any.",
    )


class Reason(Word):
    """Why a condition has its status. One word is used by one or more condition types."""

    # Good news.
    VALID = ("Valid", "Nothing is wrong with it.")
    RESOLVED = ("Resolved", "All references lead somewhere.")
    PROGRAMMED = ("Programmed", "The newest configuration runs.")
    READY = ("Ready", "All is well.")
    DELIVERING = ("Delivering", "APNs takes notifications.")
    NOT_USED = ("NotUsed", "No PushDomain refers to this object.")
    PERSISTENT = ("Persistent", "Queues are on persistent claims.")
    SETTLED = ("Settled", "All queues are with pods that serve.")
    NO_REPLICAS = ("NoReplicas", "No replica is wanted: spec.replicas is 0.")
    # Bounces.
    RELAYED = ("Relayed", "Reports go to the relay of spec.bounces.")
    NO_RELAY = (
        "NoRelay",
        "There is no relay for reports: what fails after it was acknowledged is logged and counted only.",
    )
    # Queues.
    EPHEMERAL = ("Ephemeral", "Queues are on emptyDirs, and lost with their pods.")
    STREAM_UNUSABLE = ("StreamUnusable", "Some pods cannot use the queue's stream, and accept nothing.")
    IN_MEMORY = ("InMemory", "The queue's stream is in memory, and lost when its servers restart.")
    ONE_REPLICA = ("OneReplica", "The queue's stream is on one server, and lost with its disk.")
    QUEUE_DRAINING = (
        "QueueDraining",
        "Pods that serve no more, or are to have no queue any more, are kept until theirs is empty.",
    )
    CLAIM_DRAINING = (
        "ClaimDraining",
        "Claims that no pod of the StatefulSet has any more are emptied by pods of their own.",
    )
    CLAIM_LEFT = (
        "ClaimLeft",
        "There may be something in the queue of a claim that nobody empties; the message says why.",
    )
    CLAIM_PENDING = ("ClaimPending", "The claim for a queue has no volume.")
    # The spec.
    INVALID_SPEC = ("InvalidSpec", "The spec breaks a rule that the API server cannot check.")
    LEGACY_ENDPOINT = (
        "LegacyEndpoint",
        "An endpoint of the ended binary protocol is written; the HTTP/2 service of that name is used.",
    )
    CONFIG_TOO_LARGE = (
        "ConfigTooLarge",
        "The compiled configuration is larger than a ConfigMap can be (1 MiB).",
    )
    NAME_CONFLICT = ("NameConflict", "An object that the operator needs to make exists and is not its own.")
    # References.
    ROUTE_NOT_FOUND = ("RouteNotFound", "An ApnRoute that is named does not exist.")
    ROUTE_INVALID = ("RouteInvalid", "An ApnRoute that is named is not accepted.")
    LOGGER_NOT_FOUND = ("LoggerNotFound", "An ApnLogger that is named does not exist.")
    LOGGER_INVALID = ("LoggerInvalid", "An ApnLogger that is named is not accepted.")
    SECRET_NOT_FOUND = ("SecretNotFound", "A Secret that is named does not exist.")
    KEY_MISSING = ("KeyMissing", "A Secret or a ConfigMap lacks a key that is named.")
    CONFIG_MAP_NOT_FOUND = ("ConfigMapNotFound", "A ConfigMap that is named does not exist.")
    POLICY_INVALID = ("PolicyInvalid", "The module of hooks is not Python, or is too large.")
    # Credentials.
    MALFORMED = ("Malformed", "A credential cannot be read.")
    EXPIRED = ("Expired", "A certificate's time is over.")
    NOT_YET_VALID = ("NotYetValid", "A certificate's time has not begun.")
    KEY_MISMATCH = ("KeyMismatch", "Certificate and private key do not belong together.")
    WRONG_ENVIRONMENT = ("WrongEnvironment", "The certificate is for the other APNs environment.")
    # The dispatcher.
    PENDING = ("Pending", "The dispatcher has not started, or not yet taken the newest configuration.")
    CONFIG_REFUSED = (
        "ConfigRefused",
        "The dispatcher refused the newest configuration and serves with the one before.",
    )
    PODS_FAIL = (
        "PodsFail",
        "Pods of the dispatcher are refused, cannot be placed, or do not start; the message says why.",
    )
    UNAVAILABLE = ("Unavailable", "No replica of the dispatcher is ready.")
    STALE_SECRET = (
        "StaleSecret",
        "Pods have an old version of an immutable Secret that was made anew; others come in between.",
    )
    CONTESTED = (
        "Contested",
        "Somebody changes an object of the PushDomain again and again; it is put back ever more rarely.",
    )
    PAUSED = ("Paused", "Objects are not written: the PushDomain has the annotation tubepost.io/paused.")
    NO_ACCESS = (
        "NoAccess",
        "The API server does not let the operator see or write what this takes; what runs is left as it is.",
    )
    OPERATOR_ERROR = (
        "OperatorError",
        "The operator cannot do its work for this object, for a reason that is not the object's.",
    )
    REJECTED = ("Rejected", "The API server refuses an object that the operator has to write.")
    SUSPENDED = ("Suspended", "Delivery is suspended by its mode.")
    BLACKHOLED = ("Blackholed", "Notifications are discarded by the delivery mode.")
    REFUSED = ("Refused", "Messages are refused by the delivery mode.")
    ROUTE_FAILS = (
        "RouteFails",
        "Every attempt by a route fails, and nothing is delivered by it; the message says why.",
    )
    ROUTE_HELD = (
        "RouteHeld",
        "A route takes no requests for the moment: APNs refuses the credential or cannot be reached.",
    )


class Condition(SpecModel):
    """One condition of an object (metav1.Condition)."""

    type: ConditionType
    """What the condition is about."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    # The CRD leaves the set open: a newer operator's words must not be refused by an older CRD.
    reason: Annotated[
        Reason,
        WithJsonSchema(
            {
                "type": "string",
                "minLength": 1,
                "maxLength": 1024,
                "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            }
        ),
    ]
    """Why, in one word."""
    message: Annotated[str, Field(max_length=32_768)] = ""
    """Why, for a person: the object and field concerned, and the remedy."""
    last_transition_time: datetime
    """When the status last changed; a new reason alone does not count."""
    observed_generation: Annotated[int, Field(ge=0)] = 0
    """The generation of the object that this condition is about."""


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]
"""Conditions of an object, one of each type."""
