"""Build the contestants that others wrote, into the cache outside the checkout. Idempotent.

    python -m benchmarks.peers.builds          build what is missing, say what cannot be had and why

Each has a directory named by the digest of its sources; a build that fails leaves a file that says why, so
that the tables can name it. Needs the registries of its language (Go, crates.io, Maven Central, npm, PyPI).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.peers import tools

HERE = Path(__file__).resolve().parent
LIMIT = 900.0
"""Seconds that one step of a build may take."""
_REASON = "why-not"
_HOST = """Endpoint::Production => {
                static HOST: std::sync::OnceLock<String> = std::sync::OnceLock::new();
                HOST.get_or_init(|| std::env::var("APNS_HOST").unwrap()).as_str()
            }"""
_CONNECTOR = """let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(std::env::var("APNS_CA").unwrap()).unwrap();
    for certificate in rustls_pemfile::certs(&mut pem.as_slice()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let config = rustls::client::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    HttpsConnectorBuilder::new()
        .with_tls_config(config)"""


class BuildError(RuntimeError):
    """A contestant cannot be built; the text says why, in a line."""


def directory(language: str) -> Path:
    """Where the contestant of this language belongs, built or not."""
    digest = hashlib.sha256(f"{sys.version_info[:2]}".encode() if language == "python" else b"")
    sources = HERE / language
    kept = ("requirements.txt",) if language == "python" else ()
    for path in sorted(sources.rglob("*")):
        if path.is_file() and path.suffix != ".pyc" and (not kept or path.name in kept):
            digest.update(str(path.relative_to(sources)).encode() + b"\0" + path.read_bytes() + b"\0")
    return tools.cache_dir() / "benchmarks" / f"{language}-{digest.hexdigest()[:16]}"


def built(language: str) -> Path:
    """Its directory.

    Raises:
        BuildError: it was not built.
    """
    target = directory(language)
    if (reason := target.with_suffix(f".{_REASON}")).is_file():
        raise BuildError(reason.read_text(encoding="utf-8").strip())
    if not target.is_dir():
        raise BuildError("not built: python -m benchmarks.peers.builds")
    return target


def build(language: str) -> Path:
    """Build it unless it is there.

    Raises:
        BuildError: that failed, now.
    """
    target = directory(language)
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f"{language}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.is_dir():
            return target
        reason = target.with_suffix(f".{_REASON}")
        scratch = Path(tempfile.mkdtemp(prefix=f"{language}.", dir=target.parent))
        try:
            # A virtual environment names its own path, so that one is made where it belongs.
            BUILDERS[language](target if language == "python" else scratch)
        except (BuildError, tools.MissingToolError, OSError, subprocess.TimeoutExpired) as error:
            reason.write_text(f"{error}\n", encoding="utf-8")
            shutil.rmtree(target, ignore_errors=True)
            raise BuildError(str(error)) from error
        else:
            reason.unlink(missing_ok=True)
            if not target.is_dir():
                scratch.rename(target)
            return target
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _go(target: Path) -> None:
    _run([tools.find("go"), "build", "-trimpath", "-buildvcs=false", "-o", target / "send", "."], HERE / "go")


def _rust(target: Path) -> None:
    cargo = _program("cargo")
    shutil.copytree(HERE / "rust", target, dirs_exist_ok=True)
    # The copy of the crate, as its registry has it, with two functions that read the environment.
    unpatched = target / "unpatched"
    (unpatched / "src").mkdir(parents=True)
    manifest = (HERE / "rust" / "Cargo.toml").read_text(encoding="utf-8")
    (unpatched / "Cargo.toml").write_text(manifest.partition("# The crate")[0], encoding="utf-8")
    (unpatched / "src" / "main.rs").write_text("fn main() {}\n", encoding="utf-8")
    told = json.loads(_run([cargo, "metadata", "--format-version", "1"], unpatched))
    (source,) = [Path(each["manifest_path"]).parent for each in told["packages"] if each["name"] == "a2"]
    shutil.copytree(source, target / "a2")
    shutil.rmtree(unpatched)
    client = target / "a2" / "src" / "client.rs"
    client.write_text(patched(client.read_text(encoding="utf-8")), encoding="utf-8")
    _run([cargo, "build", "--release", "--quiet", "--locked"], target)
    shutil.copy(target / "target" / "release" / "send", target / "send")
    shutil.rmtree(target / "target")


def patched(source: str) -> str:
    """`client.rs` of the crate a2 with the host and the authority from the environment.

    Raises:
        BuildError: it is not as expected.
    """
    changes = (
        (
            'Endpoint::Production => "api.push.apple.com",',
            _HOST,
        ),
        (
            "HttpsConnectorBuilder::new()\n        .with_webpki_roots()",
            _CONNECTOR,
        ),
    )
    for old, new in changes:
        if source.count(old) != 1:
            raise BuildError(f"a2's client.rs has changed: {old.splitlines()[0]!r} is not there once")
        source = source.replace(old, new)
    return source


def _java(target: Path) -> None:
    shutil.copytree(HERE / "java", target, dirs_exist_ok=True)
    _run(
        [_program("mvn"), "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={target}/lib"],
        target,
    )
    _run([_program("javac"), "-cp", f"{target}/lib/*", "-d", target / "classes", "Send.java"], target)


def _node(target: Path) -> None:
    shutil.copytree(HERE / "node", target, dirs_exist_ok=True)
    _run([_program("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], target)


def _python(target: Path) -> None:
    _run([sys.executable, "-m", "venv", "--clear", target], target.parent)
    _run(
        [
            *(target / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"),
            *("-r", HERE / "python" / "requirements.txt"),
        ],
        target.parent,
    )


BUILDERS: dict[str, Callable[[Path], None]] = {
    "go": _go,
    "rust": _rust,
    "java": _java,
    "node": _node,
    "python": _python,
}


def _program(name: str) -> str:
    path = os.pathsep.join((os.environ.get("PATH", ""), str(Path.home() / ".cargo" / "bin")))
    if found := shutil.which(name, path=path):
        return found
    raise BuildError(f"{name} is not installed")


def _run(command: list[object], where: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=where,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    if done.returncode:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise BuildError(f"{Path(str(command[0])).name} failed: {' '.join(said[-3:])[:500]}")
    return done.stdout


def main() -> int:
    """Build all; a line for each. A contestant that cannot be had is no failure."""
    for language in BUILDERS:
        try:
            print(f"{language:8} {build(language)}")
        except BuildError as error:
            print(f"{language:8} CANNOT BE HAD: {error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
