"""A real Kubernetes for tests, on a bare Linux machine: no Docker, no image registry, no network.

`python -m tests.cluster up` builds the control plane from its Go modules (once), starts it in namespaces of its
own (network, processes, mounts), loads the project's images and writes a kubeconfig; `down` takes it away.
From pytest the fixture `cluster` (`tests/cluster/fixtures.py`) does the same. README.md beside this file is
the manual.
"""
