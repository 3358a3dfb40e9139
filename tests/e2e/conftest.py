"""Throw-away credentials, a simulator and a dispatcher, shared by the tests of one process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.e2e.app import Dispatcher, Simulator, tubepost
from tests.e2e.site import Site, peers
from tests.peers.servers import GoPeer

PUSH = """
apiVersion: tubepost.io/v1alpha1
kind: PushDomain
metadata: {{name: alerts}}
spec:
  domains:
    - name: apn_example.com
    - name: token.example.com
      routes: [by-token]
    - pattern: '[a-z]+\\.beta\\.example\\.com'
      routes: [by-token]
      delivery: {{mode: Blackhole}}
  routes: [by-certificate]
  workers: {workers}
  listener:
    startTls: {{mode: Optional, secretName: smtp-tls}}
    auth: {{secretName: smtp-auth, required: false}}
  loggers: [lines, json]
---
apiVersion: tubepost.io/v1alpha1
kind: ApnRoute
metadata: {{name: by-certificate}}
spec:
  endpoint: https://localhost:{port}
  certificate: {{secretName: apns-certificate}}
  tls: {{ca: {{secretName: simulator-ca, key: ca.crt}}}}
---
apiVersion: tubepost.io/v1alpha1
kind: ApnRoute
metadata: {{name: by-token}}
spec:
  endpoint: https://localhost:{port}
  token: {{secretName: apns-token}}
  topic: com.example.app
  tls: {{ca: {{secretName: simulator-ca, key: ca.crt}}}}
---
apiVersion: tubepost.io/v1alpha1
kind: ApnLogger
metadata: {{name: lines}}
spec:
  sink: {{type: File, file: {{path: {directory}/lines.log}}}}
---
apiVersion: tubepost.io/v1alpha1
kind: ApnLogger
metadata: {{name: json}}
spec:
  format: Json
  sink: {{type: File, file: {{path: {directory}/json.log}}}}
"""


@dataclass(frozen=True)
class Stack:
    """A running simulator and dispatcher, and where their files are."""

    simulator: Simulator
    dispatcher: Dispatcher
    directory: Path
    manifests: Path

    @property
    def ca(self) -> Path:
        return self.directory / "ca.crt"


@pytest.fixture(scope="session")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("credentials")
    done = tubepost("credentials", "make", "-o", str(directory))
    assert done.returncode == 0, done.stderr
    return directory


@pytest.fixture(scope="session")
def stack(credentials: Path) -> Iterator[Stack]:
    manifests = credentials / "push.yaml"
    with Simulator(credentials) as simulator:
        manifests.write_text(PUSH.format(port=simulator.port, directory=credentials, workers=1))
        with Dispatcher([manifests, credentials / "secrets.yaml"]) as dispatcher:
            yield Stack(simulator, dispatcher, credentials, manifests)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Site, GoPeer, GoPeer]]:
    assert tubepost("credentials", "make", "-o", str(tmp_path / "made")).returncode == 0
    with peers(tmp_path) as (first, second):
        made = Site(tmp_path, first.port, second.port)
        made.write_secrets(list(yaml.safe_load_all((tmp_path / "made" / "secrets.yaml").read_text())))
        made.write()
        yield made, first, second
