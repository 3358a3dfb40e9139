"""Whose an object is that has the name or the labels of a child. Pure.

A child belongs to its PushDomain by owner reference. Backups are restored without references (they name a
uid that no longer exists), and `kubectl delete --cascade=orphan` takes them off: what carries all of our
labels for this PushDomain, and has no owner, is ours and is taken back. Everything else is somebody else's,
also what an owner that is not its controller would take along when it goes.
"""

from __future__ import annotations

from tubepost_operator.names import Names
from tubepost_operator.observed import Meta
from tubepost_operator.snapshot import PushDomainSnapshot


def is_ours(snapshot: PushDomainSnapshot, meta: Meta) -> bool:
    """Whether an object is a child of this PushDomain, or an orphan that is to be one again."""
    return meta.owner == snapshot.uid or is_orphan(snapshot, meta)


def is_orphan(snapshot: PushDomainSnapshot, meta: Meta) -> bool:
    """Whether an object was a child of a PushDomain of this name, and is nobody's now."""
    wanted = Names.labels(snapshot.name)
    alone = meta.owner is None and all(uid == snapshot.uid for uid in meta.co_owners)
    return alone and all(meta.labels.get(key) == value for key, value in wanted.items())


def is_leaving(snapshot: PushDomainSnapshot, meta: Meta) -> bool:
    """Whether an object goes: it is being deleted, or its PushDomain, one of this name, is gone."""
    return meta.deleting or (meta.owner != snapshot.uid and meta.owner_name == f"PushDomain/{snapshot.name}")


def owns_claim(snapshot: PushDomainSnapshot, meta: Meta) -> bool:
    """Whether a claim was made for a queue of this PushDomain, and nobody else has it.

    Claims that are retained have no owner, and outlive the PushDomain: one of the same name may find them,
    with all of its labels and the names of its pods' claims. Others have the StatefulSet or a pod of it as an
    owner.
    """
    wanted = Names.labels(snapshot.name)
    known = {snapshot.uid, *(child.meta.uid for child in snapshot.children.values())}
    known |= {pod.meta.uid for pod in snapshot.pods}
    owners = {*meta.co_owners, *([meta.owner] if meta.owner is not None else ())}
    return owners <= known and all(meta.labels.get(key) == value for key, value in wanted.items())
