"""Selects the configuration to serve: the candidate if it is valid, else the one that is published."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tubepost_api.conditions import Reason
from tubepost_api.config import DispatcherConfig
from tubepost_operator.credentials import Finding
from tubepost_operator.names import Names
from tubepost_operator.plan.candidate import Candidate
from tubepost_operator.plan.published import PublishedConfig, published
from tubepost_operator.resources.common import Source
from tubepost_operator.resources.configmap import LIMIT, size
from tubepost_operator.snapshot import PushDomainSnapshot


@dataclass(frozen=True, slots=True)
class Selection:
    """What to serve. `is_candidate`: it is what the objects compile to now.

    `source` None: nothing yet; or, where the spec cannot be read, what is there is left as it is. `too_large`
    is the finding when the candidate does not fit into a ConfigMap.
    """

    source: Source | None
    is_candidate: bool
    too_large: Finding | None = None
    published: PublishedConfig | None = None


def select_config(snapshot: PushDomainSnapshot, candidate: Candidate) -> Selection:
    """Decide what to serve."""
    old = published(snapshot)
    if candidate.spec is None:
        return Selection(None, is_candidate=False, published=old)
    spec = candidate.spec

    def source(config: DispatcherConfig) -> Source:
        queue = config.queue
        name = Names.config_map(
            snapshot.name,
            config.secret_names(),
            queue=queue is not None,
            stream=queue is not None and queue.jet_stream is not None,
        )
        return Source(snapshot.document, spec, config, name, snapshot.settings)

    too_large = None
    if candidate.config is not None:
        bytes_wanted = size(source(candidate.config))
        if bytes_wanted > LIMIT:
            too_large = Finding(
                Reason.CONFIG_TOO_LARGE,
                f"PushDomain {snapshot.name}: the compiled configuration has {bytes_wanted} bytes, "
                f"a ConfigMap takes {LIMIT}",
                "spread the domains over several PushDomains",
            )
    in_use = old.config.secret_names() if old is not None else frozenset()
    if candidate.config is not None and too_large is None and not candidate.blocking(in_use):
        if old is not None and _same(old, candidate.config):
            # A new generation number for the same contents is not worth a write.
            return Selection(source(old.config), is_candidate=True, published=old)
        return Selection(source(candidate.config), is_candidate=True, published=old)
    return Selection(
        source(old.config) if old is not None else None,
        is_candidate=False,
        too_large=too_large,
        published=old,
    )


def _same(old: PublishedConfig, newest: DispatcherConfig) -> bool:
    """Whether what is published says the same, but for its generation and for who serves.

    The texts are compared: another release of the operator may write the same contents in another way, and
    what it does not write is not what its dispatchers' digests are made of.
    """
    text = newest.model_copy(update={"generation": old.config.generation}).to_json()
    there = json.loads(old.text)
    there.pop("serving", None)
    return bool(json.loads(text) == there)
