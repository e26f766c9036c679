"""Every setting of Atlas, and the only place that reads the environment and atlas.toml.

Order of precedence: arguments, environment (`ATLAS_LLM__BASE_URL`), ./atlas.toml, the user's config file, defaults.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from atlas.errors import ConfigError
from atlas.types import Budget

FILES = (Path("atlas.toml"), platformdirs.user_config_path("atlas") / "config.toml")
SHIPPED_FIELD = Path(__file__).parent / "fields" / "qwen2.5-coder-1.5b"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LLMSettings(_Section):
    """The model. Without `base_url`, llama.cpp is run in a process of its own with a local model file."""

    base_url: str | None = Field(default=None, description="An OpenAI-compatible server; OPENAI_BASE_URL works too.")
    api_key: SecretStr | None = Field(default=None, description="Its key; OPENAI_API_KEY works too.")
    model: str | None = Field(
        default=None, description="Model name on the server; for the embedded engine, a catalogue name or a GGUF path."
    )
    n_ctx: int = Field(default=8192, ge=512, description="Embedded: tokens of context, shared by all completions.")
    slots: int = Field(default=8, ge=1, le=64, description="Embedded: completions generated together.")
    threads: int = Field(default=0, ge=0, description="Embedded: processor threads; 0 takes every core.")
    library: Path | None = Field(default=None, description="Embedded: a libllama.so built for this machine.")
    concurrency: int = Field(default=8, ge=1, description="Requests to the server at a time.")
    max_tokens: int = Field(default=768, ge=1, description="Longest completion, in tokens.")
    temperature: float = Field(default=0.8, ge=0, le=2, description="Of the first round; it rises by 0.1 a round.")
    greedy_first: bool = Field(default=True, description="Whether a task's first completion is at temperature 0.")
    timeout_s: float = Field(default=600.0, gt=0, description="For one request.")


class SandboxSettings(_Section):
    """Where programs are run."""

    kind: Literal["auto", "docker", "wasm"] = Field(
        default="auto", description="auto: Docker where an engine answers, else WebAssembly; the choice is printed."
    )
    docker_host: str | None = Field(default=None, description="Engine to use; DOCKER_HOST works too.")
    runtime: str | None = Field(default=None, description="OCI runtime, such as runsc for gVisor.")
    warm: int = Field(default=2, ge=0, description="Containers kept ready.")
    concurrency: int = Field(default=2, ge=1, description="Programs run at a time.")
    reuse: int = Field(default=1, ge=1, description="Programs per container; more than 1 only for trusted tenants.")


class PolicySettings(_Section):
    """What the loop does next. Prices are in solved tasks: what one of them is worth in runs and tokens."""

    kind: Literal["auto", "expected-cost", "rounds"] = Field(
        default="auto",
        description="expected-cost: ask, run or stop, whichever is worth most. rounds: budget.candidates and one run a "
        "round. auto: expected-cost where the ranker is a Cost Field that says how siblings vary; the choice is told.",
    )
    run_price: float = Field(default=0.05, ge=0, lt=1, description="One sandbox run, in solved tasks.")
    token_price: float = Field(default=0.2, ge=0, description="1,000 tokens in or out, in solved tasks.")
    group: int = Field(default=2, ge=1, le=64, description="Candidates asked for at a time, at most.")
    false_pass: float = Field(
        default=0.0, ge=0, lt=1, description="Share of wrong programs that pass a task's checks, where it has any."
    )
    least_p_pass: float = Field(
        default=0.0, ge=0, lt=1,
        description="A candidate whose P(pass) is below this is not run; 0 runs any. Needs a Cost Field.",
    )


class EvalSettings(_Section):
    """`atlas eval` and `atlas label`, beside `sandbox.concurrency`. A problem asks for all its completions at once."""

    model_concurrency: int = Field(
        default=1, ge=1,
        description="Evaluations: problems that the model writes for at a time; more where a server has room.",
    )
    fingerprint_concurrency: int = Field(
        default=1, ge=1, description="Evaluations: problems that are fingerprinted at a time."
    )


class ApiSettings(_Section):
    """The HTTP service."""

    host: str = Field(default="127.0.0.1", description="Address to listen on; beyond loopback needs api_keys.")
    port: int = Field(default=8000, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    api_keys: tuple[SecretStr, ...] = Field(default=(), description="Bearer keys that clients may use.")
    allowed_hosts: tuple[str, ...] = Field(default=(), description="Names allowed in the Host header.")
    database: Path | None = Field(default=None, description="SQLite file; default in the user's data folder.")
    workers: int = Field(default=1, ge=1, description="Tasks worked on at a time.")
    max_queued: int = Field(default=1_000, ge=1, description="Tasks that may wait.")


class Settings(BaseSettings):
    """All settings. Build one with `load`."""

    model_config = SettingsConfigDict(
        env_prefix="ATLAS_", env_nested_delimiter="__", extra="forbid", frozen=True
    )
    llm: LLMSettings = LLMSettings()
    sandbox: SandboxSettings = SandboxSettings()
    api: ApiSettings = ApiSettings()
    budget: Budget = Budget()
    policy: PolicySettings = PolicySettings()
    evals: EvalSettings = EvalSettings()
    ranker: str = Field(
        default="auto",
        description="auto: the Cost Field where it is for this model, else log-probability or agreement; the choice is "
        "printed. Or cost-field, or a baseline: first, random, shortest, log-probability, agreement.",
    )
    cost_field: Path = Field(default=SHIPPED_FIELD, description="Folder of the Cost Field.")
    cache_dir: Path | None = Field(default=None, description="Models, data sets and compiled runtimes.")
    data_dir: tuple[Path, ...] = Field(default=(), description="Folders in which data sets are looked for first.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # One source for each file: sources are merged setting by setting, files of one source section by section.
        return init_settings, env_settings, *(TomlConfigSettingsSource(settings_cls, path) for path in FILES)

    @property
    def cache(self) -> Path:
        """The folder for what can be fetched or made again."""
        return self.cache_dir or platformdirs.user_cache_path("atlas")

    @property
    def database(self) -> Path:
        """The file in which tasks are kept."""
        return self.api.database or platformdirs.user_data_path("atlas") / "atlas.db"


def load(**overrides: object) -> Settings:
    """Read the settings; `overrides` (nested dictionaries) go first. Raises ConfigError with what to change."""
    _refuse_unknown_variables()
    for path in FILES:
        _check_readable(path)
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as exc:
        error = exc.errors()[0]
        where = ".".join(str(part) for part in error["loc"])
        raise ConfigError(f"the setting {where} cannot be used: {error['msg']}{_suggestion(where)}") from exc
    except ValueError as exc:
        raise ConfigError(
            f"the settings cannot be read: {exc}; in the environment, lists are JSON: ATLAS_API__API_KEYS='[\"…\"]'"
        ) from exc
    return _with_aliases(settings)


def _with_aliases(settings: Settings) -> Settings:
    """The names that other tools use, where Atlas's own are not set."""
    llm = settings.llm
    if llm.base_url is None and (url := os.environ.get("OPENAI_BASE_URL")):
        llm = llm.model_copy(update={"base_url": url})
    if llm.base_url is not None and llm.api_key is None and (key := os.environ.get("OPENAI_API_KEY")):
        llm = llm.model_copy(update={"api_key": SecretStr(key)})
    return settings.model_copy(update={"llm": llm})


def _refuse_unknown_variables() -> None:
    """A misspelt variable would otherwise be ignored without a word."""
    for name in os.environ:
        path = name.removeprefix("ATLAS_").lower().split("__")
        if name.startswith("ATLAS_") and (len(path) > 2 or ".".join(path) not in names()):
            raise ConfigError(f"the environment variable {name} is no setting of Atlas{_suggestion('.'.join(path))}")


def names() -> list[str]:
    """Every setting's dotted name, sections included."""
    found = []
    for name, field in Settings.model_fields.items():
        found.append(name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += [f"{name}.{inner}" for inner in field.annotation.model_fields]
    return found


def _suggestion(where: str) -> str:
    close = difflib.get_close_matches(where, names(), n=1)
    return f"; did you mean {close[0]}?" if close and close[0] != where else ""


def _check_readable(path: Path) -> None:
    try:
        if path.exists():
            tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{path} cannot be read: {exc}") from exc
