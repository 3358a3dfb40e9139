from __future__ import annotations

import pytest

from tubepost_operator.settings import Settings, parse


def test_nothing_given_is_the_whole_cluster_with_a_lease() -> None:
    settings = parse([], {"POD_NAME": "one", "POD_NAMESPACE": "tubepost"})
    assert settings.namespaces == ()
    assert settings.leader_election
    assert (settings.identity, settings.lease_namespace) == ("one", "tubepost")
    assert settings.release == Settings().release


def test_everything_given() -> None:
    settings = parse(
        [
            "--namespace",
            "a",
            "--namespace",
            "b",
            "--namespace",
            "a",
            "--dispatcher-image",
            "x:1",
            "--dispatcher-pull-policy",
            "Always",
            "--image-pull-secret",
            "s",
            "--image-pull-secret",
            "t",
            "--no-leader-election",
            "--lease-name",
            "l",
            "--lease-namespace",
            "n",
            "--identity",
            "i",
            "--webhook",
            "--webhook-port",
            "1",
            "--webhook-service",
            "ws",
            "--webhook-secret",
            "wt",
            "--webhook-configuration",
            "wc",
            "--webhook-on-refusal",
            "ignore",
            "--health-port",
            "2",
            "--log-level",
            "Debug",
            "--log-format",
            "json",
            "--cluster-domain",
            "c",
            "--network-policies",
            "--workers",
            "0",
            "--upgrades-at-a-time",
            "0",
            "--resync-seconds",
            "1",
        ],
        {},
    )
    assert settings.namespaces == ("a", "b")
    assert settings.release.pull_secrets == ("s", "t")
    assert not settings.leader_election
    assert settings.webhook
    assert settings.network_policies
    assert (settings.workers, settings.upgrades_at_a_time, settings.resync) == (1, 1, 10.0)


def test_a_typing_error_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--namspace", "a"], {})
    assert "--namspace" in capsys.readouterr().err


def test_the_pod_template_of_the_release() -> None:
    given = parse(["--dispatcher-pod-template", '{"nodeSelector": {"pool": "mail"}}'], {})
    assert given.release.pod_template.node_selector == {"pool": "mail"}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--dispatcher-pod-template", '{"nodeSelektor": {}}'], "nodeSelektor"),
        (["--dispatcher-pod-template", "{"], "dispatcher.podTemplate"),
        (["--lease-duration", "5", "--lease-renew", "3"], "at least 7"),
        (["--lease-renew", "0"], "--lease-renew 0"),
    ],
)
def test_what_cannot_work_is_refused_with_the_remedy(
    arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(arguments, {})
    error = capsys.readouterr().err
    assert word in error
    assert "Remedy: " in error
