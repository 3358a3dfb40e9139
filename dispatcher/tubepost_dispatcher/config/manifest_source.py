"""A configuration from manifests, as on a laptop.

Apart from `source`, since a pod reads no manifests: what compiles them would take 4 MiB there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tubepost_api.compile import compile_manifests
from tubepost_api.crd import KINDS
from tubepost_api.problems import ProblemCode
from tubepost_dispatcher.config.bundle import ConfigBundle
from tubepost_dispatcher.config.manifests import ManifestSecrets, load_manifests
from tubepost_dispatcher.config.source import Loaded

Transform = Callable[[ConfigBundle], ConfigBundle]


class ManifestSource:
    """Manifest files, as given to `kubectl apply`: PushDomain, ApnRoute, ApnLogger, Secret, ConfigMap.

    Args:
        files: YAML or JSON files, or directories of them.
        push_domain: which PushDomain to serve when the files hold several.
        transform: changes the bundle before it is checked (the simulator puts itself in APNs' place).
        recursive: read what is below directories, too.
        stdin: what the file `-` holds.
    """

    def __init__(
        self,
        files: Sequence[Path],
        push_domain: str | None = None,
        transform: Transform | None = None,
        *,
        recursive: bool = False,
        stdin: bytes = b"",
    ) -> None:
        self._stdin = stdin
        self._files = tuple(files)
        self._recursive = recursive
        self._push_domain = push_domain
        self._transform = transform

    @property
    def paths(self) -> Sequence[Path]:
        """The files and directories as named by the user."""
        return self._files

    def load(self) -> Loaded:
        """Read and compile the manifests."""
        manifests, problems = load_manifests(self._files, recursive=self._recursive, stdin=self._stdin)
        if any(p.severity == "error" for p in problems):
            return Loaded(None, tuple(problems))
        result = compile_manifests(manifests, push_domain=self._push_domain)
        problems += result.problems
        if result.config is None:
            return Loaded(None, tuple(problems))
        source = ManifestSecrets(manifests, result.config.namespace)
        secrets = {}
        for name in result.config.secret_names():
            secret = source.get(name)
            if secret is not None:
                secrets[name] = dict(secret)
        bundle = ConfigBundle(result.config, secrets)
        if self._transform is not None:
            bundle = self._transform(bundle)
            # What the transformation supplies is no longer missing.
            problems = [
                problem
                for problem in problems
                if problem.code is not ProblemCode.SECRET_NOT_FOUND or problem.secret not in bundle.secrets
            ]
        origins = {
            (manifest.document["kind"], manifest.document["metadata"]["name"]): manifest.origin
            for manifest in manifests
            if manifest.document.get("kind") in KINDS
        }
        return Loaded(bundle, tuple(problems), origins)
