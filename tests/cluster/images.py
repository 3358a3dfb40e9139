"""The project's images, built by buildah from `images/Dockerfile` over a base that debootstrap makes.

No registry and no network inside a build: wheels are downloaded beforehand by this machine's pip (with its own
mirror, proxy and authority) and mounted. Finished images stand in one OCI layout, tagged by what they are made of,
from where a cluster's containerd imports them.
"""

from __future__ import annotations

import fnmatch
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from tests.cluster.binaries import program
from tests.cluster.layout import PROJECT, ClusterError, lock, root, say

TARGETS = ("operator", "dispatcher", "simulator")
"""Targets of images/Dockerfile."""
PAUSE = "localhost/tubepost-pause:1"
"""The image of pod sandboxes."""
_DEBIAN = "bookworm"
_BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv")
_BASE_RECIPE = "1"
_MIRRORS = Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")
_PLATFORMS = ("manylinux_2_34", "manylinux_2_31", "manylinux_2_28", "manylinux_2_17", "manylinux2014")
_KEPT = 6
"""Builds whose images stay in the layout; several checkouts share it."""
_ANNOTATION = "io.containerd.image.name"


@dataclass(frozen=True)
class Image:
    """A finished image: its tag in the layout and the name that pods use."""

    tag: str
    name: str


def image_name(target: str, tag: str = "test") -> str:
    """What pods call the image of a target, `localhost/tubepost-dispatcher:test`."""
    return f"localhost/tubepost-{target}:{tag}"


def build(targets: Sequence[str] = TARGETS) -> list[Image]:
    """Build what changed since the last time; the sandbox image is the last of the result.

    Raises:
        ClusterError: a step failed; the text ends with its output.
    """
    with lock("images"):
        images = [_built(target) for target in targets]
        images.append(_pause())
        _prune({image.tag for image in images})
    return images


def source_key() -> str:
    """A hash of everything that the images are made of: the build context and the recipe of the base."""
    ignored = _Ignore((PROJECT / "images" / "Dockerfile.dockerignore").read_text())
    digest = sha256(f"{_DEBIAN} {_BASE_PACKAGES} {_BASE_RECIPE}".encode())
    digest.update((PROJECT / "images" / "Dockerfile").read_bytes())
    for path in ignored.context(PROJECT):
        name = path.relative_to(PROJECT).as_posix()
        content = path.read_bytes()
        digest.update(f"{name} {os.access(path, os.X_OK)} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


class _Ignore:
    """As much of the dockerignore format as ours uses: `*`, `!file`, `!directory/` and `**/pattern`."""

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines()]
        patterns = [line for line in lines if line and not line.startswith("#")]
        self.kept = [line[1:].rstrip("/") for line in patterns if line.startswith("!")]
        self.dropped = [line.removeprefix("**/").rstrip("/") for line in patterns if line.startswith("**/")]

    def context(self, directory: Path) -> Iterator[Path]:
        """The files of the build context, sorted."""
        for kept in sorted(self.kept):
            path = directory / kept
            candidates = [path] if path.is_file() else sorted(path.rglob("*"))
            for found in candidates:
                parts = found.relative_to(directory).parts
                if found.is_file() and not any(fnmatch.filter(parts, pattern) for pattern in self.dropped):
                    yield found


def _built(target: str) -> Image:
    image = Image(f"{target}-{source_key()}", image_name(target))
    if image.tag in _tags():
        return image
    say(f"building the {target} image")
    base, wheels = _base(), _wheels()
    with tempfile.TemporaryDirectory(dir=root()) as scratch:
        pip_conf = Path(scratch, "pip.conf")
        pip_conf.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
        local = f"localhost/tubepost-build-{target}:latest"
        _buildah(
            "bud", "--quiet", "--layers", "--timestamp", "0", "--network", "none", "--pull=false",
            "--volume", f"{pip_conf}:/etc/pip.conf:ro", "--volume", f"{wheels}:/wheels:ro",
            "--build-arg", f"BASE={base}", "--target", target, "--tag", local,
            "--file", str(PROJECT / "images" / "Dockerfile"),
            "--ignorefile", str(PROJECT / "images" / "Dockerfile.dockerignore"), str(PROJECT),
        )  # fmt: skip
        _push(local, image.tag)
    return image


def _pause() -> Image:
    binary = program("init")
    image = Image(f"pause-{binary.parent.name}", PAUSE)
    if image.tag not in _tags():
        with tempfile.TemporaryDirectory(dir=root()) as scratch:
            shutil.copy(binary, Path(scratch, "pause"))
            Path(scratch, "Dockerfile").write_text('FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n')
            _buildah("bud", "--quiet", "--timestamp", "0", "--tag", PAUSE, scratch)
        _push(PAUSE, image.tag)
    return image


def _base() -> str:
    """The base image: Debian with Python, without documentation and package lists."""
    recipe = sha256(f"{_DEBIAN} {_BASE_PACKAGES} {_BASE_RECIPE}".encode()).hexdigest()[:12]
    name = f"localhost/tubepost-base:{recipe}"
    if _buildah("images", "--quiet", "--filter", f"reference={name}").strip():
        return name
    say("making the base image with debootstrap; this happens once")
    scratch = Path(tempfile.mkdtemp(prefix=".base-", dir=root()))
    try:
        system = scratch / "system"
        include = f"--include={','.join(_BASE_PACKAGES)}"
        _run("debootstrap", "--variant=minbase", include, _DEBIAN, str(system), _mirror())
        for waste in ("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc", "usr/share/man",
                      "usr/share/locale", "usr/share/info", "tmp"):  # fmt: skip
            _empty(system / waste)
        for cached in list(system.rglob("__pycache__")):
            shutil.rmtree(cached)
        # The standard library's byte code saves half a second at each start; packages do not ship it.
        _run("chroot", str(system), "python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash",
             "/usr/lib/python3.11")  # fmt: skip
        _empty(system / "dev")  # the container runtime brings its own
        _run("tar", "-C", str(system), "-cf", str(scratch / "base.tar"), ".")
        shutil.rmtree(system)
        (scratch / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
        _buildah("bud", "--quiet", "--timestamp", "0", "--tag", name, str(scratch))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return name


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _mirror() -> str:
    """The Debian mirror that this machine's apt uses."""
    for path in _MIRRORS:
        if path.exists():
            for line in path.read_text().splitlines():
                words = line.split()
                uris = words[1:] if words[:1] in (["URIs:"], ["deb"]) else []
                found = [word for word in uris if word.startswith("http") and word.rstrip("/").endswith("/debian")]
                if found:
                    return found[0]
    return "http://deb.debian.org/debian"


def _wheels() -> Path:
    """All wheels of the lock files, for the Python of the base."""
    locks = [PROJECT / "images" / "build.lock", *sorted((PROJECT / "requirements").glob("*.lock"))]
    locks = [path for path in locks if path.stem != "dev"]
    digest = sha256(b"".join(path.read_bytes() for path in locks)).hexdigest()[:16]
    target = root() / "wheels" / digest
    if target.is_dir():
        return target
    say("downloading the locked wheels")
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".wheels-", dir=target.parent))
    try:
        options = ["--python-version=3.11", "--only-binary=:all:", "--require-hashes", "--quiet", "--dest", str(scratch)]
        options += [f"--platform={name}_{os.uname().machine}" for name in _PLATFORMS]
        for path in locks:
            _run(sys.executable, "-m", "pip", "download", *options, "--requirement", str(path))
        scratch.chmod(0o755)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for old in target.parent.iterdir():
        if old != target:
            shutil.rmtree(old, ignore_errors=True)
    return target


def export(images: Sequence[Image], stream: IO[bytes], *, present: frozenset[str] = frozenset()) -> None:
    """Write an OCI archive of `images` to `stream`, as `ctr images import` reads it.

    Blobs whose digest is in `present` are left out: the receiving content store has them.
    """
    layout = root() / "oci"
    wanted = {image.tag: image.name for image in images}
    with lock("layout", shared=True):
        manifests = []
        for entry in _index()["manifests"]:
            name = wanted.get(entry["annotations"]["org.opencontainers.image.ref.name"])
            if name is not None:
                manifests.append({**entry, "annotations": {_ANNOTATION: name}})
        with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            for digest in sorted(_reachable(manifests) - present):
                archive.add(layout / "blobs" / "sha256" / digest, f"blobs/sha256/{digest}")
            files = {"oci-layout": {"imageLayoutVersion": "1.0.0"}, "index.json": {"schemaVersion": 2, "manifests": manifests}}
            for name, content in files.items():
                data = json.dumps(content).encode()
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def _index() -> dict[str, Any]:
    path = root() / "oci" / "index.json"
    if not path.exists():
        return {"manifests": []}
    index: dict[str, Any] = json.loads(path.read_text())
    return index


def _tags() -> set[str]:
    return {entry["annotations"]["org.opencontainers.image.ref.name"] for entry in _index()["manifests"]}


def _push(local: str, tag: str) -> None:
    with lock("layout"):
        _buildah("push", "--quiet", "--disable-compression", "--format", "oci", local, f"oci:{root() / 'oci'}:{tag}")


def _reachable(manifests: Sequence[dict[str, Any]]) -> set[str]:
    blobs = root() / "oci" / "blobs" / "sha256"
    found = set()
    for entry in manifests:
        digest = entry["digest"].removeprefix("sha256:")
        manifest = json.loads((blobs / digest).read_text())
        found |= {digest, manifest["config"]["digest"].removeprefix("sha256:")}
        found |= {layer["digest"].removeprefix("sha256:") for layer in manifest["layers"]}
    return found


def _prune(used: set[str]) -> None:
    """Forget old builds: the layout keeps the newest, buildah's storage is emptied when it has grown large."""
    index = _index()
    kept = [entry for entry in index["manifests"] if entry["annotations"]["org.opencontainers.image.ref.name"] in used]
    others = [entry for entry in index["manifests"] if entry not in kept]
    kept += others[-_KEPT * len(TARGETS) :]
    if len(kept) == len(index["manifests"]):
        return
    with lock("layout"):
        (root() / "oci" / "index.json").write_text(json.dumps({**index, "manifests": kept}))
        reachable = _reachable(kept)
        for blob in (root() / "oci" / "blobs" / "sha256").iterdir():
            if blob.name not in reachable:
                blob.unlink()
    if len(_buildah("images", "--all", "--quiet").splitlines()) > 200:
        _buildah("rmi", "--prune", "--force")


def _buildah(command: str, *arguments: str) -> str:
    storage = root() / "storage"
    places = ("--root", str(storage / "root"), "--runroot", str(storage / "run"), "--storage-driver", "overlay")
    environment = {**os.environ, "BUILDAH_ISOLATION": "chroot", "TMPDIR": str(root())}
    return _run("buildah", *places, command, *arguments, environment=environment)


def _run(*command: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=1800)
    if done.returncode:
        raise ClusterError(f"{' '.join(command[:8])} ... failed:\n{(done.stdout + done.stderr)[-6000:]}")
    return done.stdout
