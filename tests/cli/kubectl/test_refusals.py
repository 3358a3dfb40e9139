"""Words of kubectl 1.36, from API servers that refuse, expire, are away or are something else."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.support.pages import indented
from tubepost_cli.kubectl import report
from tubepost_cli.kubectl.cluster import EX_NOPERM, EX_UNAVAILABLE, ClusterFailed, NotAllowed, NotFound
from tubepost_cli.kubectl.refusals import RIGHTS, ROLE, failure, once


def denied(verb: str, resource: str, group: str = "", where: str = 'in the namespace "shop"') -> str:
    kind, _, _ = resource.partition("/")
    return (
        f'Error from server (Forbidden): {kind} "x" is forbidden: User "bob" cannot {verb} resource'
        f' "{resource}" in API group "{group}" {where}'
    )


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (denied("list", "pods"), NotAllowed, 'User "bob" cannot list resource "pods"'),
        (
            "error: error upgrading connection: unable to upgrade connection: "
            + denied("create", "pods/portforward").partition("): ")[2],
            NotAllowed,
            'not allowed: User "bob" cannot create resource "pods/portforward"',
        ),
        (
            'Error from server (Forbidden): pushdomains "alerts" is forbidden: exceeded quota',
            NotAllowed,
            "auth can-i --list",
        ),
        (
            "error: You must be logged in to the server (the server has asked for the client to provide credentials)",
            NotAllowed,
            "Remedy: log in again",
        ),
        ('error: the server doesn\'t have a resource type "pushdomains"', NotFound, "definitions are not in"),
        ('error: the server doesn\'t have a resource type "services"', NotFound, 'a resource type "services"'),
        ('Error from server (NotFound): pods "x" not found', NotFound, "Another namespace (-n)"),
        ("The connection to the server x:6443 was refused", ClusterFailed, "kubectl get: The connection"),
        ("The connection to the server localhost:8080 was refused", ClusterFailed, "there is no kubeconfig"),
        ("Unable to connect to the server: dial tcp: lookup x: no such host", ClusterFailed, "VPN"),
        ("Unable to connect to the server: x509: certificate has expired", ClusterFailed, "new kubeconfig"),
        ("error: stat nope: no such file or directory", ClusterFailed, "--kubeconfig"),
        ('error: error loading config file "x": open x: permission denied', ClusterFailed, "--kubeconfig"),
        ("Error in configuration: context was not found for specified context: nope", ClusterFailed, "get-contexts"),
        ("Unable to connect to the server: getting credentials: exec: executable aws not found", ClusterFailed, "logs in with"),
        ("error: invalid character '<' looking for beginning of value", ClusterFailed, "proxy"),
        (
            "E1130 12:00:00 memcache.go:265] a log line\nerror: context was lost",
            ClusterFailed,
            "get: context",
        ),
        ("", ClusterFailed, "it ended without a word"),
    ],
)  # fmt: skip
def test_what_kubectl_says_when_it_fails(said: str, kind: type[ClusterFailed], words: str) -> None:
    error = failure("kubectl get", said)
    assert type(error) is kind
    assert words in error.message
    assert "memcache" not in error.message
    assert "?." not in error.message
    assert ("custom resource definitions" in error.message) == ("pushdomains" in said and kind is NotFound)
    assert error.exit_code == {NotAllowed: EX_NOPERM, NotFound: 1, ClusterFailed: EX_UNAVAILABLE}[kind]


@pytest.mark.parametrize(
    ("group", "resource", "verb"), [(*key, verb) for key in RIGHTS for verb in sorted(RIGHTS[key])]
)
def test_a_right_that_is_missing_comes_with_the_command_that_gives_it(
    group: str, resource: str, verb: str
) -> None:
    error = failure("kubectl get", denied(verb, resource, group))
    assert isinstance(error, NotAllowed)
    assert f"`kubectl create rolebinding {ROLE}-bob --clusterrole={ROLE} --user=bob -n shop`" in error.message


def test_an_account_of_a_service_is_bound_as_one() -> None:
    said = denied("list", "pods").replace('"bob"', '"system:serviceaccount:ci:bot"')
    message = failure("kubectl get", said).message
    assert (
        "rolebinding tubepost-user-ci-bot --clusterrole=tubepost-user --serviceaccount=ci:bot -n shop"
        in message
    )


@pytest.mark.parametrize(
    "said", [denied("list", "secrets"), denied("list", "pods", where="at the cluster scope")]
)
def test_what_no_role_of_ours_gives_is_asked_of_an_administrator(said: str) -> None:
    message = failure("kubectl get", said).message
    assert ROLE not in message
    assert "auth can-i --list" in message


def test_a_name_for_the_shell_is_one_word() -> None:
    message = failure("kubectl get", denied("list", "pods").replace('"bob"', '"Bob; rm -rf /"')).message
    assert "rolebinding tubepost-user-bob-rm-rf --clusterrole=tubepost-user '--user=Bob; rm -rf /'" in message


def test_several_refusals_have_one_remedy() -> None:
    pods, events = (failure("kubectl get", denied("list", one)) for one in ("pods", "events"))
    other = ClusterFailed("it is gone")
    first, second, third = once([pods, events, pods, other])
    assert first.endswith('in the namespace "shop"')
    assert second == events.message
    assert third == "it is gone"


def test_the_role_on_the_page_has_exactly_these_rights() -> None:
    (role,) = [
        found
        for block in indented("kubectl.md")
        if "kind: Role" in block and isinstance(found := yaml.safe_load(block), dict)
    ]
    assert granted(role) == {key: set(verbs) for key, verbs in RIGHTS.items()}


def granted(role: dict[str, Any]) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault((group, resource), set()).update(rule["verbs"])
    return found


def test_all_that_is_asked_for_is_in_the_role() -> None:
    kinds = {re.sub(r"\..*", "", kind) for kind in (*report._OURS, *report._CHILDREN)}
    assert kinds <= {resource for (_, resource), verbs in RIGHTS.items() if "list" in verbs}
