"""What kubectl says when it fails, and what one can do about it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Final

from tubepost_api.resource import GROUP
from tubepost_cli.kubectl.cluster import ClusterFailed, NotAllowed, NotFound

ROLE: Final = "tubepost-user"
"""The chart's ClusterRole with `RIGHTS`, as a release of the name tubepost calls it."""
RIGHTS: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    (GROUP, "pushdomains"): frozenset({"get", "list", "patch"}),
    (GROUP, "apnroutes"): frozenset({"get", "list"}),
    (GROUP, "apnloggers"): frozenset({"get", "list"}),
    ("", "pods"): frozenset({"get", "list"}),
    ("", "pods/log"): frozenset({"get"}),
    ("", "pods/portforward"): frozenset({"create", "get"}),
    ("", "events"): frozenset({"get", "list"}),
    ("", "services"): frozenset({"list"}),
    ("", "configmaps"): frozenset({"list"}),
    ("", "persistentvolumeclaims"): frozenset({"list"}),
    ("apps", "deployments"): frozenset({"list"}),
    ("apps", "statefulsets"): frozenset({"list"}),
    ("apps", "replicasets"): frozenset({"list"}),
    ("policy", "poddisruptionbudgets"): frozenset({"list"}),
    ("networking.k8s.io", "networkpolicies"): frozenset({"list"}),
}
"""All that the plugin asks of an API server: verbs by API group and resource."""
_DENIED: Final = re.compile(
    r'User "([^"]+)" cannot (\w+) resource "([^"]+)" in API group "([^"]*)" in the namespace "([^"]+)"'
)
_NOBODY: Final = "You must be logged in to the server"
_NO_KIND: Final = re.compile(r"doesn't have a resource type|no matches for kind")
_ABSENT: Final = re.compile(r"\(NotFound\)|^(?!.*executable).*not found$")
_REMEDIES: Final[tuple[tuple[str, str], ...]] = (
    (
        r"getting credentials: exec|executable .* not found",
        "install the program that your kubeconfig logs in with, or see why it fails",
    ),
    (r"error loading config file|^stat .*no such file", "name a kubeconfig that you can read: --kubeconfig"),
    (
        r"context .* does not exist|context was not found|no context exists",
        "`kubectl config get-contexts` lists what --context may name",
    ),
    (
        r"localhost:8080 was refused",
        "there is no kubeconfig: name it with --kubeconfig, or in the variable KUBECONFIG",
    ),
    (
        r"certificate has expired",
        "get a new kubeconfig, or have the API server's certificate renewed; and look at the clock",
    ),
    (r"x509: ", "the kubeconfig's certificate-authority-data is not that of this server"),
    (
        r"no such host|was refused|timeout|no route to host|unreachable|EOF|deadline|handshake|to connect",
        "see that the API server runs and is reached from here (VPN, proxy); `kubectl config view` names it",
    ),
    (r"invalid character '<'", "that is a web page: a proxy or a login stands before the API server"),
)


def failure(what: str, said: str) -> ClusterFailed:
    """What kubectl said when it failed, with the remedy.

    Args:
        what: was run, such as `kubectl get`.
        said: all that it wrote to standard error.
    """
    kept = [line for line in said.splitlines() if line and not line.startswith(("E0", "E1", "W0", "I0"))]
    text = " ".join(kept).removeprefix("error: ").strip()[:600] or "it ended without a word"
    if _NOBODY in text:
        remedy = "log in again: your token or certificate has expired, or is another cluster's"
        return NotAllowed(f"not allowed: {text}", remedy)
    if "(Forbidden)" in text or "is forbidden" in text or "forbidden:" in text:
        found = _DENIED.search(text)
        return NotAllowed(f"not allowed: {found[0] if found else text}", _how(found))
    if _NO_KIND.search(text):
        ours = any(resource in text for group, resource in RIGHTS if group == GROUP)
        return NotFound(
            f"{text}: Tubepost's custom resource definitions are not in this cluster" if ours else text
        )
    if _ABSENT.search(text):
        text = text.removeprefix("Error from server (NotFound): ")
        return NotFound(f"{text}. Another namespace (-n), or another cluster (--context)?")
    remedy = next((remedy for pattern, remedy in _REMEDIES if re.search(pattern, text)), "")
    stop = " " if text.endswith("?") else ". "
    return ClusterFailed(f"{what}: {text}" + (f"{stop}Remedy: {remedy}" if remedy else ""))


def _how(denied: re.Match[str] | None) -> str:
    """How to get the right that was missing."""
    if denied is None:
        return "`kubectl auth can-i --list` shows your rights"
    user, verb, resource, group, namespace = denied.groups()
    if verb not in RIGHTS.get((group, resource), ()):
        return "ask an administrator of the namespace; `kubectl auth can-i --list` shows your rights"
    account = user.removeprefix("system:serviceaccount:")
    who = f"--user={user}" if account == user else f"--serviceaccount={account}"
    name = f"{ROLE}-{re.sub('[^a-z0-9.]+', '-', account.lower()).strip('-.') or 'binding'}"
    command = shlex.join(
        ["kubectl", "create", "rolebinding", name, f"--clusterrole={ROLE}", who, "-n", namespace]
    )
    return (
        f"have an administrator of the namespace run `{command}`; the role is the chart's, in another release"
        " it has another name (`kubectl get clusterroles -l app.kubernetes.io/part-of=tubepost`)"
    )


def once(errors: Iterable[ClusterFailed]) -> list[str]:
    """What failed, each once; the remedy of several refusals stands behind the last of them."""
    found = {error.message: error for error in errors}
    last = {error.remedy: text for text, error in found.items() if isinstance(error, NotAllowed)}
    return [
        error.what if isinstance(error, NotAllowed) and last[error.remedy] != text else text
        for text, error in found.items()
    ]
