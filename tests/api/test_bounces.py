from __future__ import annotations

import json

from tests.api.manifests import compiled, push_domain, route
from tubepost_api.bounces import BouncesOverride, BouncesSpec, bounce_config, bounces_config, merged
from tubepost_api.config_relay import BounceConfig, BouncesConfig, RelayConfig


def test_the_defaults_are_those_of_the_document() -> None:
    assert bounce_config(BouncesSpec()) == BounceConfig()
    assert bounces_config(BouncesSpec()) is None


def test_an_override_has_every_option_but_the_relay() -> None:
    own, optional = (model.model_json_schema(by_alias=True) for model in (BouncesSpec, BouncesOverride))
    assert [*optional["properties"]] == [name for name in own["properties"] if name != "relay"]
    for name, field in own["properties"].items():
        if name == "relay":
            continue
        wanted = {key: part for key, part in field.items() if key not in {"default", "description", "title"}}
        choices = optional["properties"][name]["anyOf"]
        assert choices == wanted.get("anyOf", [wanted, {"type": "null"}]), name
        assert optional["properties"][name]["default"] is None


def test_a_domain_differs_field_by_field() -> None:
    config = compiled(
        push_domain(
            domains=[
                {"name": "a.example", "bounces": {"enabled": False}},
                {"name": "b.example", "bounces": {"delayAfter": "1h", "from": "b@b.example"}},
                {"name": "c.example"},
            ],
            bounces={"delayNotices": True, "direct": "Mail", "from": "a@a.example", "relay": {"host": "mx"}},
        ),
        route(),
    ).config
    assert config is not None
    base = BounceConfig(delay_notices=True, direct="Mail", from_="a@a.example")
    assert [entry.bounces for entry in config.entries] == [
        base.model_copy(update={"enabled": False}),
        base.model_copy(update={"delay_after": 3_600.0, "from_": "b@b.example"}),
        base,
    ]
    assert config.bounces == BouncesConfig(relay=RelayConfig(host="mx"))
    assert json.loads(config.to_json())["entries"][1]["bounces"]["from"] == "b@b.example"


def test_what_is_not_used_is_not_written() -> None:
    config = compiled(push_domain(), route()).config
    assert config is not None
    document = json.loads(config.to_json())
    assert not {"bounces", "policy", "rest", "contextAddresses"} & document.keys()
    assert "bounces" not in document["entries"][0]


def test_without_an_override_it_is_the_push_domains() -> None:
    base = BouncesSpec(enabled=False)
    assert merged(base, None) is base
    assert merged(base, BouncesOverride()) == base
