"""Values observed in the cluster: what gather hands to plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Document = dict[str, Any]
"""An object as the API server gives or takes it."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Kind, namespace and name of an object."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Meta:
    """What the operator keeps of an object's metadata.

    `annotations` are those under our own prefix only. `owner` is the uid of the controller that the object
    belongs to, `owner_name` its kind and name (`PushDomain/alerts`); None where it has none. `co_owners` are
    the uids of owners that are not its controller.
    """

    key: Key
    uid: str
    version: str
    generation: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    owner: str | None
    owner_name: str | None
    created: str
    deleting: bool
    co_owners: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Changes whenever the object's desired state may have changed.

        Kinds that count generations do not change theirs with their status; the others have no status that
        is written often.
        """
        return f"{self.uid}/g{self.generation}" if self.generation else f"{self.uid}/v{self.version}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A kind that the API server does not let the operator watch, in one namespace or (None) anywhere.

    `text` names it, with the server's words and the remedy.
    """

    kind: str
    namespace: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Secret:
    """A Secret's contents; its `repr` holds none of them.

    `immutable`: it is, or one of its name was before. `created`: when this one was.
    """

    name: str
    version: str
    data: Mapping[str, bytes] = field(repr=False)
    immutable: bool = False
    created: str = ""


@dataclass(frozen=True, slots=True)
class ConfigMap:
    """The texts of a ConfigMap that a spec names, by key; of keys that nobody reads the text is empty."""

    name: str
    version: str
    data: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Child:
    """A child as it is. `body` None: it was not read at this version.

    `in_sync`: it was compared with its manifest, or written by us, and its desired state has not changed
    since. `trial`: what the API server made of a manifest, with the hash of what was applied. `cleaned`: the
    same, of a removal of all that others have added: what is left of that are defaults.
    """

    meta: Meta
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    in_sync: bool = False
    trial: tuple[str, Mapping[str, Any]] | None = field(default=None, repr=False)
    cleaned: tuple[str, Mapping[str, Any]] | None = field(default=None, repr=False)

    def cleaned_of(self, applied: str) -> Mapping[str, Any] | None:
        """What is left after a removal, beside the manifest with this hash; None when that is not known."""
        return self.cleaned[1] if self.cleaned is not None and self.cleaned[0] == applied else None

    def trial_of(self, applied: str) -> Mapping[str, Any] | None:
        """What the API server made of the manifest with this hash, None when that is not known."""
        return self.trial[1] if self.trial is not None and self.trial[0] == applied else None


@dataclass(frozen=True, slots=True)
class Repair:
    """Which fields of a child somebody has changed; `text` says what and who.

    `autoscaled`: it is the number of replicas alone, by a program: that comes again for certain.
    """

    fields: tuple[str, ...]
    text: str
    autoscaled: bool = False


@dataclass(frozen=True, slots=True)
class Fight:
    """Somebody changes a child again and again.

    `times`: how often it was put back, the last time after `repair`. `wait`: seconds until it may be put back
    again. `left`: seconds of peace after which the fight is over.
    """

    times: int
    wait: float
    left: float
    repair: Repair


@dataclass(frozen=True, slots=True)
class PodReport:
    """What a dispatcher pod says of itself in its metrics.

    `digest` is that of configuration and Secrets in force; None: the pod did not answer. `attempts` counts
    by route, outcome and reason since the pod started. `refused_digest` is that of what it has refused, empty
    where it could not read it or is of a release that does not say. `queued`: notifications in its queue,
    None where it does not say. `retiring`: it takes no more mail. `set_aside`:
    damaged files and entries beside its queue. `stream`: what it finds of the stream that its queue is, `ok`
    where all is well; empty for no stream. `at`: when it said so, monotonic seconds.
    """

    digest: str | None = None
    refused: bool = False
    sessions: int = 0
    attempts: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    held: frozenset[str] = frozenset()
    refused_digest: str = ""
    queued: int | None = None
    retiring: bool = False
    set_aside: int = 0
    stream: frozenset[str] = frozenset()
    at: float = field(default=0.0, compare=False)

    @property
    def quiet(self) -> bool:
        """Whether nothing is in its queue; where it retires, nobody is connected any more either."""
        return bool(self.digest) and self.queued == 0 and not (self.retiring and self.sessions)

    def continues(self, before: PodReport) -> bool:
        """Whether it is quiet as it was before: in the same configuration, and as one that retires or not."""
        return (
            before.quiet and self.quiet and (self.digest, self.retiring) == (before.digest, before.retiring)
        )

    def refuses(self, digest: str) -> bool:
        """Whether it has seen this configuration, and does not take it."""
        return self.refused and self.refused_digest in {"", digest}


@dataclass(frozen=True, slots=True)
class PodDetails:
    """What the API server says of a pod. `url` is where its metrics are, None while it has no address.

    `trouble` says why a container does not run, as the kubelet puts it; empty when all is well. `began`: its
    containers have run at some time, so that there may be something in its volumes. `ended`: it has failed or
    succeeded, and will not run again.
    """

    ready: bool
    trouble: str
    url: str | None
    began: bool = True
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod with a dispatcher: one of ours, or somebody else's with a sidecar.

    `trouble`, `url`, `began` and `ended` are as in `PodDetails`. `last_report`: what its metrics said when it
    was last asked, None when it never was. `stale`: the pod has changed since its details were read, or they
    never were. `quiet_for`: seconds between the first and the last of its latest reports that were all quiet.
    """

    meta: Meta
    sidecar: bool = False
    ready: bool = False
    trouble: str = ""
    last_report: PodReport | None = None
    url: str | None = None
    stale: bool = False
    began: bool = True
    ended: bool = False
    quiet_for: float = 0.0

    @property
    def report(self) -> PodReport | None:
        """What its metrics say; None for a pod that is not ready, whose last report proves nothing."""
        return self.last_report if self.ready else None


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """Coarse facts of all dispatchers of a PushDomain, from their metrics.

    `failing` are the routes by which nothing was delivered since every attempt failed; `reasons` the reason
    of the last failures of each route that has had any. `stream`: what is wrong with the stream that the
    queue is, for some of them.
    """

    at: datetime
    sessions: int = 0
    delivered_per_minute: int = 0
    delivered: int = 0
    failed: int = 0
    held: tuple[str, ...] = ()
    last_error: str | None = None
    failing: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    queued: int = 0
    stream: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PodList:
    """Names a request: pods of a PushDomain, those that a label selector matches."""

    push_domain: Key
    selector: str


@dataclass(frozen=True, slots=True)
class PodMetrics:
    """Names a request: the metrics of a pod of a PushDomain, from the pod itself."""

    push_domain: Key
    uid: str
    url: str


@dataclass(frozen=True, slots=True)
class Trial:
    """Names a request: what the API server would make of a child's manifest (a dry run).

    And of the removal of places (JSON Pointers) from the child as it is, where there are any.
    """

    child: Key
    applied: str
    manifest: Document = field(repr=False, compare=False)
    live: Document = field(repr=False, compare=False)
    remove: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Hooks:
    """Names a request: a ConfigMap of a user's, with hooks."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class LastEvent:
    """Names a request: what was told last of an object, by an event."""

    about: Key


Need = Key | Hooks | PodList | PodMetrics | Trial | LastEvent
"""Something to read: an object, a list of pods, a pod's metrics, a trial, or an event."""
Found = Secret | ConfigMap | Child | tuple[Pod, ...] | str | None
"""What was read: an object, None when there is none; of pods, all of the PushDomain as they are known now;
what an event says."""
