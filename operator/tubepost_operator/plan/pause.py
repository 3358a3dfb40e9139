"""The annotation that has the operator leave a PushDomain's objects alone, while somebody debugs. Pure."""

from __future__ import annotations

from tubepost_operator.metadata import paused_text
from tubepost_operator.observed import Document
from tubepost_operator.plan.children import ChildrenPlan


def is_paused(document: Document) -> bool:
    """Whether a PushDomain is paused: the annotation is there and does not say `false`."""
    value = paused_text(document["metadata"])
    return value is not None and value.strip().lower() not in {"false", "no", "0"}


def withheld(children: ChildrenPlan) -> ChildrenPlan:
    """The plan for children without its writes; `withheld` names them."""
    named = [apply.key for apply in children.apply]
    named += [children.scale.key] if children.scale is not None else []
    named += [enlarge.key for enlarge in children.enlarge]
    named += [mark.key for mark in children.marks]
    named += [meta.key for meta in children.delete]
    return ChildrenPlan(
        in_sync=children.in_sync,
        conflicts=children.conflicts,
        leaving=children.leaving,
        mutated=children.mutated,
        withheld=named,
        paused=True,
    )
