"""docs/operator.md, from operator_page.md beside this file; figures and columns come from the code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tubepost_api.crd import KINDS
from tubepost_api.podtemplate import GRACE
from tubepost_dispatcher.supervisor import file_watch
from tubepost_operator import cluster, controller, election, fights, holding, liveness, metadata_watch
from tubepost_operator.kinds import CHILDREN, OWN
from tubepost_operator.plan import push_domain, stale_secret
from tubepost_operator.resources import configmap, container
from tubepost_operator.settings import LEASE_MARGIN, Settings
from tubepost_operator.workqueue import WorkQueue

_PLACE = re.compile(r"\$\{(\w+)\}")
_VALUES = Path(__file__).resolve().parents[2] / "charts" / "tubepost" / "values.yaml"
_WATCHED_BESIDE = 5
"""Beside those of the children: Secrets, ConfigMaps of users, claims, dispatchers, pods with a sidecar."""


def outputs() -> dict[str, str]:
    """The page.

    Raises:
        ValueError: the page asks for a figure that there is not, or a figure is not used.
    """
    page = Path(__file__).with_suffix(".md").read_text(encoding="utf-8")
    figures = _figures()
    asked = set(_PLACE.findall(page))
    if wrong := sorted(asked ^ figures.keys()):
        raise ValueError(f"operator_page.md: unknown or unused: {', '.join(wrong)}")
    return {"docs/operator.md": _PLACE.sub(lambda match: figures[match[1]], page)}


def _figures() -> Mapping[str, str]:
    settings = Settings()
    queue = inspect.signature(WorkQueue).parameters
    values = yaml.safe_load(_VALUES.read_text(encoding="utf-8"))["operator"]
    numbers: dict[str, float] = {
        "debounce": settings.debounce,
        "debounceMost": queue["most"].default,
        "backOffFirst": queue["first_delay"].default,
        "backOffMost": queue["most_delay"].default,
        "afterWrite": push_domain.AFTER_WRITE,
        "refreshAgain": push_domain.REFRESH_AGAIN[0],
        "refreshOnceMore": push_domain.REFRESH_AGAIN[1],
        "settling": push_domain.SETTLING,
        "conflictInterval": push_domain.CONFLICT_INTERVAL,
        "look": file_watch.INTERVAL,
        "settle": file_watch.SETTLE,
        "settleMost": file_watch.SETTLE_MOST,
        "facts": settings.live_status_interval,
        "resync": settings.resync,
        "workers": settings.workers,
        "leaseDuration": settings.lease_duration,
        "leaseRenew": settings.lease_renew,
        "leaseWrites": settings.lease_duration - LEASE_MARGIN,
        "leaseTaken": settings.lease_duration + 2 * settings.lease_renew,
        "termEnd": election.END_TIMEOUT,
        "attempts": cluster.ATTEMPTS,
        "watchSilence": metadata_watch.READ_TIMEOUT,
        "watchDead": liveness.SILENT_AFTER,
        "refusedPause": controller.REFUSED_PAUSE,
        "free": fights.FREE,
        "staleAfter": stale_secret.STALE_AFTER,
        "answer": holding.ANSWER,
        "yielded": holding.YIELDED,
        "peace": fights.PEACE,
        "watches": len(CHILDREN) + _WATCHED_BESIDE + len(OWN),
        "limitMiB": configmap.LIMIT / 2**20,
        "preStop": container.PRE_STOP,
        "linger": container.LINGER,
        "grace": GRACE,
        "drain": GRACE - container.PRE_STOP - container.SPARE,
        "replicas": values["replicas"],
        "upgradesAtATime": values["upgradesAtATime"],
    }
    return {name: f"{number:g}" for name, number in numbers.items()} | {
        "requestCpu": values["resources"]["requests"]["cpu"],
        "requestMemory": values["resources"]["requests"]["memory"],
        "limitMemory": values["resources"]["limits"]["memory"],
        "columns": _columns(),
    }


def _columns() -> str:
    columns: Iterable[Any] = KINDS["PushDomain"].names.columns
    return "\n".join(
        f"| {column.name.upper()} | {'with `-o wide`' if column.wide else 'always'} "
        f"| `{column.path}` | {column.description} |"
        for column in columns
    )
