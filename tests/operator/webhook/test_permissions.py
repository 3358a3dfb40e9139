from __future__ import annotations

from tubepost_operator.settings import Settings
from tubepost_operator.webhook.permissions import PERMISSIONS


def test_each_is_about_one_object_whose_name_is_a_setting() -> None:
    settings = Settings(webhook_secret="a", webhook_configuration="b")
    assert [(item.resource, item.object_name(settings)) for item in PERMISSIONS] == [
        ("secrets", "a"),
        ("mutatingwebhookconfigurations", "b"),
    ]
    assert all(item.verbs == ("get", "patch") and item.reason for item in PERMISSIONS)
