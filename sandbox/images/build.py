"""Builds the sandbox's images: `python -m sandbox.images.build [--language python] [--force]`.

Where a registry answers, Docker builds from a generated Dockerfile. Where none does, mmdebstrap downloads the same
Debian packages and the result is imported. Both keep only the paths that the recipe names.
"""

from __future__ import annotations

import argparse
import io
import json
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, get_args

from docker.errors import APIError, BuildError, DockerException, ImageNotFound
from requests.exceptions import RequestException

from sandbox.engine import connect
from sandbox.errors import SandboxUnavailable
from sandbox.images.recipes import RECIPES, REPOSITORY, Recipe, image_tag
from sandbox.types import Language

Say = Callable[[str], None]
BASE_IMAGE = "debian:{suite}-slim"
PASSWD = "root:x:0:0::/:/usr/sbin/nologin\nnobody:x:65534:65534::/:/usr/sbin/nologin\n"
BUILD_SECONDS = 1800
BOX_MODE = 0o1777  # runc gives a tmpfs the mode of the folder it is mounted on


def ensure_image(client: Any, language: Language, say: Say, force: bool = False) -> str:
    """Return the image's tag, building it first where the engine lacks it (about 10 s).

    Args:
        client: a `docker.APIClient`.
        language: the language of the programs that will run in it.
        say: is told about progress, one line at a time.
        force: build even where the image is there.
    Raises:
        SandboxUnavailable: neither way of building works here; the message says what to install.
    """
    tag = image_tag(language)
    if not force and has_image(client, tag):
        return tag
    recipe = RECIPES[language]
    base = BASE_IMAGE.format(suite=recipe.suite)
    say(f"sandbox image {tag}: asking the registry for {base}")
    refusal = _pull(client, base)
    if not refusal:
        _build_with_docker(client, recipe, tag, base, say)
    elif shutil.which("mmdebstrap"):
        say(f"no registry answers ({refusal}); building from Debian's packages with mmdebstrap")
        _build_with_mmdebstrap(client, recipe, tag, say)
    else:
        raise SandboxUnavailable(
            f"The sandbox image {tag} cannot be built: {base} cannot be pulled ({refusal}) and mmdebstrap is not "
            "installed. Let the engine reach a registry, or install mmdebstrap (Debian: apt install mmdebstrap)."
        )
    say(f"sandbox image {tag}: ready")
    return tag


def has_image(client: Any, tag: str) -> bool:
    """True where the engine holds the image."""
    try:
        client.inspect_image(tag)
    except ImageNotFound:
        return False
    return True


def _pull(client: Any, base: str) -> str:
    """Pull `base`; empty where it is there afterwards, else the reason in one line."""
    repository, _, tag = base.partition(":")
    try:
        if not has_image(client, base):
            client.pull(repository, tag=tag)
        return "" if has_image(client, base) else "the pull did not finish"
    except (DockerException, RequestException) as error:
        explanation = getattr(error, "explanation", None) or str(error)
        return str(explanation).splitlines()[0][:200]


def dockerfile(recipe: Recipe, base: str) -> str:
    """The recipe as a Dockerfile: install in one stage, keep what is named in a second, empty one."""
    keep = " ".join(shlex.quote(f"/{path.rstrip('/')}") for path in recipe.keep)
    drop = " ".join(shlex.quote(f"/new/{path}") for path in recipe.drop)
    return "\n".join(
        (
            f"FROM {base} AS root",
            "RUN apt-get update && apt-get install -y --no-install-recommends " + " ".join(recipe.packages),
            *(f"RUN {shlex.join(command)}" for command in recipe.run),
            f"RUN mkdir -p /new/etc && mkdir -m {BOX_MODE:o} /new/box && ln -s box /new/tmp",
            f"RUN for path in {keep}; do if [ -e $path ]; then cp -a --parents $path /new; fi; done; rm -rf {drop}",
            f"RUN printf '%s\\n' {shlex.join(PASSWD.splitlines())} > /new/etc/passwd"
            " && find /new -perm /6000 -exec chmod a-s {} +",
            "FROM scratch",
            "COPY --from=root /new/ /",
            "",
        )
    )


def _build_with_docker(client: Any, recipe: Recipe, tag: str, base: str, say: Say) -> None:
    try:
        for line in client.build(fileobj=io.BytesIO(dockerfile(recipe, base).encode()), tag=tag, rm=True, decode=True):
            if text := line.get("stream", "").strip():
                say(text)
            if "error" in line:
                raise SandboxUnavailable(f"docker build of {tag} failed: {line['error']}")
    except (APIError, BuildError) as error:
        raise SandboxUnavailable(f"docker build of {tag} failed: {error}") from error


def _build_with_mmdebstrap(client: Any, recipe: Recipe, tag: str, say: Say) -> None:
    with tempfile.TemporaryDirectory(prefix="atlas-image-") as folder:
        whole, slim = Path(folder, "whole.tar"), Path(folder, "slim.tar")
        command = ["mmdebstrap", "--variant=extract", f"--include={','.join(recipe.packages)}"]
        command += [f'--extract-hook=chroot "$1" {shlex.join(line)}' for line in recipe.run]
        _run([*command, recipe.suite, str(whole)], say)
        say("keeping the interpreter and its library")
        with tarfile.open(whole) as source, tarfile.open(slim, "w") as target:
            for member, content in _slim(source, recipe):
                target.addfile(member, content)
        repository, _, name = tag.partition(":")
        answer = client.import_image(str(slim), repository=repository, tag=name)
        client.tag(json.loads(answer.splitlines()[-1])["status"], repository, name)  # Podman ignores the tag above


def _run(command: list[str], say: Say) -> None:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8")
    assert process.stdout is not None
    tail = ""
    for line in process.stdout:
        tail = line.strip() or tail
        say(tail)
    if process.wait():
        raise SandboxUnavailable(f"{command[0]} failed: {tail}. Can this machine reach a Debian mirror?")


def _slim(source: tarfile.TarFile, recipe: Recipe) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """The members to keep, without setuid bits, plus the few that every image needs."""
    for member in source:
        name = member.name.removeprefix("./")
        if name.startswith(recipe.keep) and not name.startswith(recipe.drop) and not member.isdev():
            member.name, member.mode = name, member.mode & 0o1777
            yield member, source.extractfile(member) if member.isfile() else None
    for name in ("box", "etc", "proc", "sys", "dev"):
        folder = tarfile.TarInfo(name)
        folder.type, folder.mode = tarfile.DIRTYPE, BOX_MODE if name == "box" else 0o755
        yield folder, None
    link = tarfile.TarInfo("tmp")
    link.type, link.linkname = tarfile.SYMTYPE, "box"
    yield link, None
    passwd = tarfile.TarInfo("etc/passwd")
    passwd.size, passwd.mode = len(PASSWD), 0o644
    yield passwd, io.BytesIO(PASSWD.encode())


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  progress, for a person


def main() -> int:
    """Command line: build one language's image, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.images.build", description=f"Build {REPOSITORY} images.")
    parser.add_argument("--language", choices=get_args(Language), action="append", help="default: all")
    parser.add_argument("--force", action="store_true", help="build even where the image exists")
    options = parser.parse_args()
    try:
        client = connect(timeout=BUILD_SECONDS)
        for language in options.language or RECIPES:
            print(ensure_image(client, language, _say, options.force))  # noqa: T201  the tag is this command's output
    except (SandboxUnavailable, DockerException) as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
