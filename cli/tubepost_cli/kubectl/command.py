"""The cluster by the program kubectl: its contexts, its ways to log in, its proxies, its rights.

A plugin of kubectl's has kubectl beside it. Since that program is asked, and not a
library, the plugin can talk to every cluster that kubectl can talk to.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, Final

from tubepost_cli.kubectl.cluster import Cluster, ClusterFailed, Document
from tubepost_cli.kubectl.refusals import failure

TIMEOUT: Final = 60.0
"""Seconds for one answer, and for a port to be open."""
_FORWARDED: Final = re.compile(r"127\.0\.0\.1:(\d+) -> (\d+)")


class Kubectl(Cluster):
    """kubectl with fixed options.

    Args:
        options: kubectl's own, such as `--context=NAME` and `--kubeconfig=FILE`.
        program: its name, or its path.
        namespace: empty: the context's.
    """

    def __init__(self, options: Sequence[str] = (), program: str = "kubectl", namespace: str = "") -> None:
        self._options = tuple(options)
        self.namespace = namespace
        self._program = program

    def objects(self, kind: str, *, selector: str = "", everywhere: bool = False) -> list[Document]:
        """`kubectl get`."""
        more = [f"--selector={selector}"] if selector else []
        more += ["--all-namespaces"] if everywhere else []
        return list(self._json("get", kind, *more)["items"])

    def object(self, kind: str, name: str) -> Document:
        """`kubectl get`."""
        return self._json("get", kind, name)

    def patch(self, kind: str, name: str, operations: Sequence[Mapping[str, Any]]) -> None:
        """`kubectl patch`."""
        self._run("patch", kind, name, "--type=json", f"--patch={json.dumps(list(operations))}")

    def logs(
        self, pod: str, container: str, *, follow: bool = False, options: Sequence[str] = ()
    ) -> Iterator[str]:
        """`kubectl logs`."""
        more = [*options, *(["--follow"] if follow else [])]
        words = self._words("logs", pod, f"--container={container}", "--timestamps", *more)
        with self._started(words) as process:
            assert process.stdout is not None
            for line in process.stdout:
                yield line.rstrip("\n")
            self._check(words, process.wait(), _rest(process.stderr))

    @contextlib.contextmanager
    def forward(self, pod: str, ports: Sequence[int]) -> Iterator[Mapping[int, int]]:
        """`kubectl port-forward`."""
        words = self._words(
            "port-forward", "--address=127.0.0.1", f"pod/{pod}", *(f":{port}" for port in ports)
        )
        with self._started(words) as process:
            assert process.stdout is not None
            alarm = threading.Timer(TIMEOUT, process.kill)
            alarm.start()
            found: dict[int, int] = {}
            try:
                while len(found) < len(ports) and (line := process.stdout.readline()):
                    found |= {int(inner): int(outer) for outer, inner in _FORWARDED.findall(line)}
            finally:
                alarm.cancel()
            if len(found) < len(ports):
                process.kill()
                self._check(words, process.wait() or 1, _rest(process.stderr))
            # It writes a line for each connection, and would stop where nobody reads them.
            threading.Thread(target=_drain, args=(process.stdout,), daemon=True).start()
            threading.Thread(target=_drain, args=(process.stderr,), daemon=True).start()
            yield found

    def versions(self) -> Document:
        """`kubectl version`."""
        return self._json("version")

    def _json(self, *arguments: str) -> Document:
        text = self._run(*arguments, "--output=json")
        try:
            document: Document = json.loads(text)
        except ValueError as error:
            raise ClusterFailed(f"kubectl {arguments[0]} did not answer in JSON: {error}") from None
        return document

    def _run(self, *arguments: str) -> str:
        words = self._words(*arguments)
        try:
            done = subprocess.run(  # noqa: S603 - a fixed program, and no shell
                words, capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=TIMEOUT
            )
        except subprocess.TimeoutExpired:
            raise ClusterFailed(
                f"kubectl {arguments[0]} has not answered for {TIMEOUT:.0f} s. Is the API server reachable?"
            ) from None
        except OSError as error:
            raise _missing(self._program, error) from None
        self._check(words, done.returncode, done.stderr)
        return done.stdout

    def _words(self, *arguments: str) -> list[str]:
        where = [f"--namespace={self.namespace}"] if self.namespace else []
        return [shutil.which(self._program) or self._program, *arguments, *where, *self._options]

    @contextlib.contextmanager
    def _started(self, words: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
        try:
            process = subprocess.Popen(  # noqa: S603 - a fixed program, and no shell
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise _missing(self._program, error) from None
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                assert stream is not None
                with contextlib.suppress(ValueError):  # a thread that drains it is reading
                    stream.close()

    def _check(self, words: Sequence[str], status: int, said: str) -> None:
        if status:
            raise failure(f"kubectl {words[1]}", said)


def _missing(program: str, error: OSError) -> ClusterFailed:
    return ClusterFailed(f"{program} cannot be started ({error}): install kubectl, or add it to PATH")


def _rest(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.read()


def _drain(stream: IO[str]) -> None:
    with contextlib.suppress(ValueError, OSError):  # closed with its process
        for _ in stream:
            pass
