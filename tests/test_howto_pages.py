"""Pages of how-tos: manifests compile, commands exist, figures follow from their rules. Programs: tests/e2e/test_howtos.py."""

from __future__ import annotations

import json
import math
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tests.api.manifests import compiled, push_domain, route
from tests.e2e.app import TUBEPOST, tubepost
from tests.operator.resources.sources import source
from tests.support.pages import DOCS, documents, fences, indented, page, parts
from tubepost_api.resource import API_VERSION
from tubepost_cli.kubectl.main import plugin
from tubepost_cli.main import main
from tubepost_operator.resources.container import DEFAULT_MEMORY, REST_PORT
from tubepost_operator.resources.deployment import pod_template
from tubepost_operator.resources.queue import QueueVolume
from tubepost_operator.settings import ReleaseSettings

PAGES = [
    "backup.md",
    "credentials.md",
    "gorush.md",
    "load-balancer.md",
    "nodemailer.md",
    "openshift.md",
    "postfix.md",
    "python.md",
    "scripts.md",
    "security.md",
    "sizing.md",
    "upgrade.md",
]


def own(name: str, kind: str) -> list[dict[str, Any]]:
    """Our objects of a page; those of others are not ours to check."""
    return [one for one in documents(name) if one["apiVersion"] == API_VERSION and one["kind"] == kind]


@pytest.mark.parametrize("name", [name for name in PAGES if own(name, "PushDomain") or own(name, "ApnRoute")])
def test_manifests_compile(name: str) -> None:
    assert parts(name) == []
    routes, loggers = own(name, "ApnRoute"), own(name, "ApnLogger")
    domains = own(name, "PushDomain") or [
        {
            "apiVersion": API_VERSION,
            "kind": "PushDomain",
            "metadata": {"name": one["metadata"]["name"]},
            "spec": {"domains": [{"name": "push.example.com"}], "routes": [one["metadata"]["name"]]},
        }
        for one in routes
    ]
    known = {one["metadata"]["name"] for one in routes}
    if "apns" not in known:
        routes.append(route())
    for domain in domains:
        result = compiled(domain, *routes, *loggers)
        assert result.config is not None, result.problems


# -- commands ---------------------------------------------------------------------------------------------


def commands(name: str) -> list[str]:
    """`tubepost ...` and `kubectl tubepost ...` on a page, in snippets and in sentences."""
    text = page(name).replace("\\\n", " ")
    found = re.findall(r"(?:^ *| -- |`)((?:kubectl )?tubepost [a-z-][^`\n|]+)", text, re.MULTILINE)
    return [line for line in found if not line.endswith(" -f")]  # the beginning of one


ALL = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


@pytest.mark.parametrize("name", [name for name in ALL if commands(name)])
def test_commands_exist(name: str) -> None:
    for line in commands(name):
        words = shlex.split(line)
        command: click.Command = plugin if words.pop(0) == "kubectl" else main
        if command is plugin:
            words.pop(0)
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            below = command.get_command(click.Context(command), words.pop(0))
            assert below is not None, line
            command = below
        # Raises for an option that does not exist; what is missing does not matter.
        command.make_parser(click.Context(command)).parse_args(words)


def test_an_upgrade_is_done_by_commands_that_other_pages_have_run_on_a_cluster() -> None:
    run = "\n".join(block for name in ("operator.md", "install.md") for block in indented(name))
    lines = re.findall(r"^ +((?:helm|kubectl) .+)$", page("upgrade.md"), re.MULTILINE)
    assert [line for line in lines if line not in run] == [
        "helm get values tubepost --namespace tubepost > values.yaml"
    ]
    assert len(lines) > 5


def test_a_backup_has_no_versions_and_all_else() -> None:
    """Objects with a version are refused once they have changed; what a Secret holds under such a name is kept."""
    back_up = indented("backup.md")[0]
    assert back_up.count('| sed -E "$versions" >') == 2
    # As kubectl writes it.
    found = """\
apiVersion: v1
items:
- apiVersion: v1
  data:
    resourceVersion: MTIz
    uid: YWJj
  kind: Secret
  metadata:
    name: apns
    resourceVersion: "1234"
    uid: 4a0c1d2e-7a3b-4c9d-8e1f-0123456789ab
kind: List
metadata:
  resourceVersion: ""
"""
    done = subprocess.run(
        ["bash", "-euc", f'{back_up.splitlines()[0]}\nsed -E "$versions"'],
        input=found, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    (kept,) = yaml.safe_load(done.stdout)["items"]
    assert kept["metadata"] == {"name": "apns"}
    assert kept["data"] == {"uid": "YWJj", "resourceVersion": "MTIz"}


# -- credentials ------------------------------------------------------------------------------------------


def secrets(directory: Path) -> list[dict[str, Any]]:
    """What `kubectl create secret` on the page makes of the files."""
    made: dict[str, dict[str, Any]] = {}
    for line in re.findall(r"^ +kubectl create secret (.+)$", page("credentials.md"), re.MULTILINE):
        kind, name, *options = shlex.split(line.partition(" --dry-run")[0])
        values = dict(option.removeprefix("--").split("=", 1) for option in options if "from" not in option)
        data = {{"cert": "tls.crt", "key": "tls.key"}[key]: (directory / value).read_text() for key, value in values.items()}  # fmt: skip
        for option in options:
            how, _, rest = option.partition("=")
            if how in {"--from-file", "--from-literal"}:
                key, _, value = rest.partition("=")
                data[key] = (directory / value).read_text() if how == "--from-file" else value
        assert kind in {"generic", "tls"}
        made[name] = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
    return list(made.values())


def test_credentials(tmp_path: Path) -> None:
    made = tmp_path / "made"
    assert tubepost("credentials", "make", "-o", str(made)).returncode == 0

    def run(script: str) -> str:
        path = f"{Path(TUBEPOST).parent}:/usr/bin:/bin"
        done = subprocess.run(
            ["bash", "-euc", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
            env={"PATH": path, "P12_PASSWORD": "throw-away", "HOME": str(tmp_path)},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    key, request, certificate, p12 = fences("credentials.md", "sh")
    for name in ("AuthKey_ABC1234567.p8", "AuthKey_GHJ7654321.p8"):
        shutil.copy(made / "token.p8", tmp_path / name)
    assert "ABC1234567" in run(key)
    run(request)
    assert "CERTIFICATE REQUEST" in (tmp_path / "apns.csr").read_text()
    # Apple's part: a certificate for the key of the request.
    subject = "/UID=com.example.app/CN=Apple Push Services: com.example.app"
    run(f"openssl req -x509 -key apns.key -subj '{subject}' -days 30 -outform der -out aps.cer")
    assert "com.example.app" in run(certificate)
    first = (tmp_path / "apns.crt").read_text()
    # The keychain's part.
    run("openssl pkcs12 -export -inkey apns.key -in apns.crt -passout env:P12_PASSWORD -out apns.p12")
    run(p12)
    assert first.strip() in (tmp_path / "apns.crt").read_text()
    # As the manifests of the page name them.
    objects = [*documents("credentials.md"), *secrets(tmp_path)]
    renewed = next(one for one in objects if one["metadata"]["name"] == "apns-token")
    assert renewed["stringData"]["keyId"] == "GHJ7654321"  # the last command
    objects.append({**renewed, "metadata": {"name": "apns-token-new"}})
    file = tmp_path / "all.yaml"
    file.write_text("\n---\n".join(json.dumps(one) for one in objects))
    checked = tubepost("validate", "-f", str(file))
    assert checked.returncode == 0, checked.stdout + checked.stderr


# -- sizing -----------------------------------------------------------------------------------------------


def rows(text: str, columns: int) -> list[list[str]]:
    """Rows of the tables with so many columns, without their heads."""
    found = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"
    ]
    return [row for row in found if len(row) == columns and row[0] and not row[0].startswith("---")]


def default_memory(kind: str, workers: int) -> str:
    first, more = DEFAULT_MEMORY[kind]
    return f"{first + more * (workers - 1)}Mi"


def test_the_rule_of_memory_is_the_default() -> None:
    text = page("sizing.md")
    for kind, word in (("requests", "request"), ("limits", "limit")):
        first, more = DEFAULT_MEMORY[kind]
        assert (
            f"| memory, {word} | {first} MiB, and {more} MiB for each further worker, which is the default |"
            in text
        )


def test_the_three_sizes_follow_from_the_rules() -> None:
    sizes = rows(page("sizing.md"), 8)
    assert len(sizes) == 3
    for name, rate_, mode, cpu, pods_, limit_, memory, disk in sizes:
        rate, pods, limit = float(rate_.replace(",", "")), int(pods_), int(limit_)
        need = rate * {"Direct": 0.25e-3, "Queued": 0.4e-3}[mode]
        assert float(cpu) == pytest.approx(need), name
        assert pods == max(2, math.ceil(need / limit) + 1), name
        assert memory == default_memory("requests", limit), name
        if mode == "Direct":
            assert disk == "none"
        else:
            least = rate * 4 * 3600 * 1024 / (pods - 1) / 2**30 + 0.25
            assert least <= float(disk.removesuffix("Gi")) <= 2 * least, name


def test_manifests_of_two_sizes_have_their_rows_figures() -> None:
    _, second, third = rows(page("sizing.md"), 8)
    for (_, _, mode, _, pods, limit, memory, disk), domain in zip(
        (second, third), own("sizing.md", "PushDomain"), strict=True
    ):
        spec = domain["spec"]
        resources = spec["podTemplate"]["resources"]
        assert spec["replicas"] == int(pods)
        assert resources["limits"]["cpu"] == limit
        assert resources["requests"]["memory"] == memory
        assert resources["limits"]["memory"] == default_memory("limits", int(limit))
        assert spec.get("acceptance", {}).get("mode", "Direct") == mode
        if mode == "Queued":
            assert spec["queue"]["disk"]["claim"]["size"] == disk


# -- OpenShift --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [None, QueueVolume.EMPTY_DIR, QueueVolume.CLAIM])
def test_dispatchers_fit_restricted_v2(place: QueueVolume | None) -> None:
    """What OpenShift's constraint of that name demands of pods, where the chart has set claimGroup for it."""
    settings = replace(source().settings, release=ReleaseSettings(claim_group=0))
    given = replace(source(), queue=place, settings=settings)
    spec = pod_template(given)["spec"]
    security = spec["securityContext"]
    assert (
        not {"runAsUser", "runAsGroup", "fsGroup", "supplementalGroups", "seLinuxOptions"} & security.keys()
    )
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}  # fmt: skip
    assert all(volume.keys() - {"name"} <= allowed for volume in spec["volumes"])
    for container in spec["containers"]:
        own_context = container["securityContext"]
        assert own_context["allowPrivilegeEscalation"] is False
        assert own_context["capabilities"] == {"drop": ["ALL"]}
        assert not {"runAsUser", "runAsGroup", "privileged"} & own_context.keys()
        assert all("hostPort" not in port and port["containerPort"] >= 1024 for port in container["ports"])


def test_what_is_openshifts_own_names_what_there_is() -> None:
    (way_in,) = [one for one in documents("openshift.md") if one["kind"] == "Route"]
    assert way_in["spec"]["port"] == {"targetPort": REST_PORT}
    assert way_in["spec"]["to"] == {"kind": "Service", "name": "alerts"}
    (firewall,) = [one for one in documents("openshift.md") if one["kind"] == "EgressFirewall"]
    config = compiled(push_domain(), route()).config
    assert config is not None
    (apns,) = config.routes.values()
    (allowed, _, denied) = firewall["spec"]["egress"]
    assert allowed["to"] == {"dnsName": apns.host}
    assert allowed["ports"] == [{"protocol": "TCP", "port": apns.port}]
    assert denied["type"] == "Deny"
