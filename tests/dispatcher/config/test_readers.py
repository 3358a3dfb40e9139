"""Every field of the compiled document is read by somebody: a setting that nobody reads does nothing."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pydantic import BaseModel, create_model

import tubepost_dispatcher
from tubepost_api import config, config_jetstream, config_logger, config_relay

ROOT = Path(tubepost_dispatcher.__file__).parent
DOCUMENT = (config, config_jetstream, config_logger, config_relay)

ANYWHERE = ("",)

READERS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "AcceptanceConfig": {"acceptance": ("acceptance/", "worker/")},
    "AuthConfig": {"auth": ("smtp/", "config/", "api")},
    "BounceConfig": {"bounces": ANYWHERE, "options": ("bounces/",)},
    "BouncesConfig": {"bounces": ANYWHERE},
    "CertificateConfig": {"pair": ("api",)},
    "DeliveryConfig": {"delivery": ANYWHERE, "options": ("delivery/", "acceptance/", "queue/")},
    "DispatcherConfig": {"config": ("worker/", "supervisor/", "config/", "acceptance/")},
    "EntryConfig": {"entry": ANYWHERE},
    "FilterConfig": {"filter": ANYWHERE, "config": ("feeds/",)},
    "FileSink": {"config": ("feeds/file_sink",), "file": ("feeds/",)},
    "JetStreamConfig": {"config": ("config/jetstream",)},
    "JetStreamPlacement": {"placement": ("config/jetstream",)},
    "JetStreamTlsConfig": {"tls": ("config/jetstream",)},
    "ListenerConfig": {"listener": ANYWHERE, "config": ("smtp/",)},
    "ListenerLimits": {"limits": ("smtp/", "worker/", "supervisor/", "acceptance/", "pod_limits/")},
    "LoggerConfig": {"config": ("feeds/",), "logger": ("config/",)},
    "LoggerFormats": {"formats": ("feeds/",)},
    "RelayConfig": {"config": ("smtp/client",), "passthru": ANYWHERE, "relay": ANYWHERE},
    "PolicyConfig": {"policy": ANYWHERE, "settings": ("policy/",), "_settings": ("policy/",)},
    "QueueConfig": {"queue": ANYWHERE, "config": ("queue/bounds",), "_config": ("worker/worker_queue",)},
    "RestConfig": {"rest": ANYWHERE, "config": ("http/",)},
    "RestTlsConfig": {"tls": ("api", "config/")},
    "RouteConfig": {"route": ANYWHERE, "_route": ("apns/",), "config": ("worker/pools",)},
    "RouteDefaults": {"defaults": ANYWHERE},
    "RouteTls": {"tls": ("apns/", "api")},
    "ServingWorkload": {"workload": ANYWHERE, "serving": ANYWHERE},
    "StartTlsConfig": {"starttls": ("smtp/", "config/", "api")},
    "Throttle": {"limit": ANYWHERE},
    "TokenConfig": {"token": ("api",)},
    "TracingConfig": {"tracing": ANYWHERE, "config": ("feeds/tracing",), "_config": ("feeds/tracing",)},
    "WebhookConfig": {"webhook": ANYWHERE, "config": ("feeds/",), "_config": ("feeds/webhook/",)},
}
"""How a model's instances are called where they are read: the name, and where it means them."""


def models() -> list[type[BaseModel]]:
    return [
        item
        for part in DOCUMENT
        for item in vars(part).values()
        if inspect.isclass(item) and issubclass(item, BaseModel) and item.__module__ == part.__name__
    ]


def called(node: ast.expr) -> str:
    """The last name of an expression: `b` of `a.b`."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def reads(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Every attribute that is read, with the name of what it is read of."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield called(node.value), node.attr


def all_reads() -> dict[str, set[tuple[str, str]]]:
    """What each module of the dispatcher reads; and `api`, the document's own module."""
    found = {
        path.relative_to(ROOT).as_posix(): set(reads(ast.parse(path.read_text(encoding="utf-8"))))
        for path in ROOT.rglob("*.py")
    }
    found["api"] = set()
    for part in DOCUMENT:
        tree = ast.parse(Path(inspect.getfile(part)).read_text(encoding="utf-8"))
        found["api"] |= set(reads(tree))
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                # What a model reads of itself, to name its Secrets.
                found[f"self of {node.name}"] = set(reads(node))
    return found


READS = all_reads()


def unread(model: type[BaseModel], name: str | None = None) -> list[str]:
    """The fields that nobody reads; `name`: of the model whose instances are called alike."""
    name = name or model.__name__
    places = {("self", f"self of {name}")}
    for receiver, prefixes in READERS[name].items():
        places |= {(receiver, module) for module in READS if module.startswith(prefixes)}
    seen = {field for receiver, module in places for of, field in READS.get(module, ()) if of == receiver}
    return [field for field in model.model_fields if field not in seen]


def test_every_model_is_looked_at() -> None:
    assert {model.__name__ for model in models()} == set(READERS)


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_every_field_has_a_reader(model: type[BaseModel]) -> None:
    assert unread(model) == [], "read it, or say in READERS how the model is called where it is read"


def test_a_field_that_nobody_reads_is_found() -> None:
    for base in models():
        more = create_model("More", __base__=base, frobnication=(int, 0))
        assert unread(more, base.__name__) == ["frobnication"]
