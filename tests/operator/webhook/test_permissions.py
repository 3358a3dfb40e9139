from __future__ import annotations

from tubepost_operator.settings import Settings
from tubepost_operator.webhook.permissions import PERMISSIONS


def test_each_is_about_one_object_whose_name_is_a_setting() -> None:
    settings = Settings(webhook_secret="a", webhook_configuration="b")
    assert [(item.resource, item.object_name(settings), *item.verbs) for item in PERMISSIONS] == [
        ("secrets", "a", "get"),
        ("secrets", "a", "patch"),
        ("mutatingwebhookconfigurations", "b", "get", "patch"),
    ]
    assert all(item.reason for item in PERMISSIONS)


def test_what_cert_manager_does_needs_no_right_to_write() -> None:
    settings = Settings(webhook=True, webhook_certificate="Given")
    (left,) = [item for item in PERMISSIONS if item.needed(settings)]
    assert (left.resource, left.verbs) == ("secrets", ("get",))
    assert not any(item.needed(Settings(webhook=False)) for item in PERMISSIONS)
