from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tubepost_api.fields import NAME_PATTERN
from tubepost_importer.needed import Secrets, slug


@given(st.text(max_size=80))
def test_any_text_becomes_a_name(text: str) -> None:
    name = slug(text, "x")
    assert re.fullmatch(NAME_PATTERN, name)
    assert len(name) <= 50
    assert name[0].isalpha()


def test_one_secret_for_the_same_files_and_another_for_others() -> None:
    secrets = Secrets("ns")
    first = secrets.certificate("apns-certificate", "/a/shop.pem", "/a/shop.key")
    assert (
        secrets.certificate("apns-certificate", "/a/shop.pem", "/a/shop.key") == first == "apns-certificate"
    )
    assert secrets.certificate("apns-certificate", "/b/My News.pem", "/b/k") == "apns-certificate-my-news"
    assert secrets.certificate("apns-certificate", "/c/My News.pem", "/c/k") == "apns-certificate-my-news-2"
    assert len(secrets.all()) == 3


def test_commands_are_what_a_shell_takes() -> None:
    secrets = Secrets("ns")
    secrets.certificate("apns-certificate", "/a b/$(x).pem", "/k")
    secrets.authorities("/ca.pem")
    secrets.users()
    certificate, ca, users = secrets.all()
    assert certificate.command == (
        "kubectl create secret tls apns-certificate --namespace=ns --cert='/a b/$(x).pem' --key=/k"
    )
    assert ca.command == "kubectl create secret generic apns-ca --namespace=ns --from-file=ca.crt=/ca.pem"
    assert users.command.endswith("--from-file=users=users.txt")
    assert "NAME:PASSWORD" in users.note
