"""Looks at objects without kubectl: each start of it costs a tenth of a second of CPU, and tests look all the time.

What `Reader` does not understand (other kinds, other options, kubeconfigs without a client certificate) is left to
kubectl.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import http.client
import json
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

Document = dict[str, Any]

TIMEOUT = 60.0
"""Seconds for an answer."""
_TUBEPOST = "apis/tubepost.io/v1alpha1"
_PLACES = {
    "configmaps": "api/v1",
    "events": "api/v1",
    "persistentvolumeclaims": "api/v1",
    "pods": "api/v1",
    "secrets": "api/v1",
    "serviceaccounts": "api/v1",
    "services": "api/v1",
    "deployments": "apis/apps/v1",
    "statefulsets": "apis/apps/v1",
    "jobs": "apis/batch/v1",
    "leases": "apis/coordination.k8s.io/v1",
    "endpointslices": "apis/discovery.k8s.io/v1",
    "poddisruptionbudgets": "apis/policy/v1",
    "roles": "apis/rbac.authorization.k8s.io/v1",
    "rolebindings": "apis/rbac.authorization.k8s.io/v1",
    "pushdomains": _TUBEPOST,
    "apnroutes": _TUBEPOST,
    "apnloggers": _TUBEPOST,
}
"""Where the objects of a namespace are, by the plural names of their kinds."""
_SHORT = {"pvc": "persistentvolumeclaims"}


class Refused(Exception):
    """The API server answers with an error, or not at all; the text says which."""


class Query(NamedTuple):
    """One look at one kind: the path, and whether it is a list."""

    path: str
    many: bool


def queries(arguments: Sequence[str]) -> list[Query] | None:
    """What `kubectl get ARGUMENTS` would ask for; None where that is left to kubectl."""
    words: list[str] = []
    namespace, selection = "", {}
    rest = iter(arguments)
    for argument in rest:
        name, _, value = argument.partition("=")
        if name in ("-l", "--selector"):
            selection["labelSelector"] = value or next(rest, "")
        elif name == "--field-selector" and value:
            selection["fieldSelector"] = value
        elif name == "--namespace" and value:
            namespace = value
        elif argument.startswith("-"):
            return None
        else:
            words.append(argument)
    if not namespace or not 1 <= len(words) <= 2:
        return None
    found = []
    for kind in words[0].split(","):
        plural = kind if kind in _PLACES else _SHORT.get(kind, f"{kind}s")
        if plural not in _PLACES:
            return None
        path = f"/{_PLACES[plural]}/namespaces/{quote(namespace)}/{plural}"
        if len(words) == 2:
            path += f"/{quote(words[1])}"
        found.append(Query(path + (f"?{urlencode(selection)}" if selection else ""), len(words) == 1))
    return found if len(found) == 1 or len(words) == 1 else None


def put_together(answers: Sequence[Document]) -> Document:
    """Lists as kubectl prints them: each item says what it is."""
    items = [
        {"apiVersion": answer["apiVersion"], "kind": answer["kind"].removesuffix("List"), **item}
        for answer in answers
        for item in answer["items"]
    ]
    return {"apiVersion": "v1", "kind": "List", "items": items}


class Reader:
    """Asks an API server with the client certificate of a kubeconfig."""

    def __init__(self, server: str, context: ssl.SSLContext) -> None:
        self._server = urlsplit(server)
        self._context = context

    @classmethod
    def of(cls, kubeconfig: Path) -> Reader | None:
        """By a kubeconfig in JSON, as our own clusters have; None where it lacks what is needed."""
        try:
            document = json.loads(kubeconfig.read_text())
            cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
            authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
            pair = base64.b64decode(user["client-certificate-data"]) + base64.b64decode(
                user["client-key-data"]
            )
        except (OSError, ValueError, LookupError, TypeError, binascii.Error):
            return None
        context = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile() as file:  # for its owner alone; the module reads files only
            file.write(pair)
            file.flush()
            context.load_cert_chain(file.name)
        return cls(cluster["server"], context)

    def get(self, arguments: Sequence[str]) -> Document | None:
        """`kubectl get ARGUMENTS -o json`; None where that is left to kubectl.

        Raises:
            Refused: there is no such object, or no answer.
        """
        asked = queries(arguments)
        if asked is None:
            return None
        answers: list[Document] = [json.loads(self.raw(query.path)) for query in asked]
        return put_together(answers) if asked[0].many else answers[0]

    def raw(self, path: str) -> str:
        """What is at a path.

        Raises:
            Refused: an error, or no answer.
        """
        connection = http.client.HTTPSConnection(
            self._server.hostname or "", self._server.port, timeout=TIMEOUT, context=self._context
        )
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise Refused(f"{path}: {error!r}") from error
        finally:
            connection.close()
        if answer.status != 200:
            message = text
            with contextlib.suppress(ValueError, LookupError, TypeError):
                message = json.loads(text)["message"]
            raise Refused(f"{path}: {answer.status}: {message}")
        return text
