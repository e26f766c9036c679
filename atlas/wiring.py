"""The only place where concrete classes meet: settings in, an open service out."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from atlas import models
from atlas.errors import ConfigError
from atlas.fingerprint import ModelFingerprinter
from atlas.llm.client import OpenAIClient
from atlas.llm.endpoint import Timeouts
from atlas.llm.engine import EmbeddedEngine
from atlas.policy import ExpectedCost, FixedRounds
from atlas.protocols import LLM, Policy, Ranker
from atlas.rank import CostFieldRanker, baseline
from atlas.service import Service
from atlas.settings import SHIPPED_FIELD, Settings
from atlas.solver import Solver, Warming
from costfield.errors import CostFieldError
from costfield.field import CostField, read_card
from sandbox.docker import DockerSandbox, DockerSettings
from sandbox.engine import docker_status
from sandbox.errors import SandboxError
from sandbox.types import Sandbox
from sandbox.wasm import WasmSandbox

log = logging.getLogger("atlas")


@asynccontextmanager
async def open_llm(settings: Settings) -> AsyncIterator[LLM]:
    """The configured server, or the embedded engine. Raises ConfigError, ModelUnavailable."""
    llm = settings.llm
    timeouts = Timeouts(read=llm.timeout_s, total=llm.timeout_s, deadline=2 * llm.timeout_s)
    async with AsyncExitStack() as stack:
        if llm.base_url is not None:
            base_url, key, name = llm.base_url, llm.api_key.get_secret_value() if llm.api_key else None, llm.model
            states = None  # only our own engine has them; another server does without
        else:
            model = models.verified(llm.model or models.DEFAULT, cache_dir=settings.cache)
            engine = await stack.enter_async_context(
                EmbeddedEngine.start(
                    model.path, name=model.name, sha256=model.sha256, n_ctx=llm.n_ctx, slots=llm.slots,
                    threads=llm.threads, library=llm.library,
                )
            )
            base_url, key, name, states = engine.base_url, engine.api_key, None, True
        client = await OpenAIClient.open(
            base_url, key, model=name, timeouts=timeouts, concurrency=llm.concurrency, states=states
        )
        yield await stack.enter_async_context(client)


@asynccontextmanager
async def open_sandbox(settings: Settings) -> AsyncIterator[Sandbox]:
    """Docker where it is wanted or, with `auto`, where an engine answers; WebAssembly otherwise.

    Raises SandboxError. An engine that answers but fails is an error, not a reason to take the other sandbox.
    """
    kind, why = choose_sandbox(settings)
    log.info("sandbox %s: %s", kind, why, extra={"action": "sandbox.chosen", "kind": kind})
    sandbox: Sandbox
    if kind == "docker":
        s = settings.sandbox
        sandbox = await DockerSandbox.start(
            DockerSettings(
                host=s.docker_host, runtime=s.runtime, warm=s.warm, concurrency=s.concurrency, reuse=s.reuse,
                proofs=settings.cache / "proofs",
            )
        )
    else:
        sandbox = await WasmSandbox.start(concurrency=settings.sandbox.concurrency, cache=settings.cache / "wasm")
    try:
        yield sandbox
    finally:
        await sandbox.aclose()


def choose_sandbox(settings: Settings) -> tuple[str, str]:
    """(kind, the reason in words)."""
    if settings.sandbox.kind != "auto":
        return settings.sandbox.kind, "chosen by the setting sandbox.kind"
    trouble = docker_status(settings.sandbox.docker_host)
    return ("wasm", f"no Docker engine answers ({trouble})") if trouble else ("docker", "a Docker engine answers")


def open_field(path: Path, fingerprinter: ModelFingerprinter) -> CostField:
    """The Cost Field at `path`.

    Raises ConfigError where it cannot be read, was made for other fingerprints, or needs what the server does not give.
    """
    lacks = ""
    try:
        card = read_card(path)
        lacks = fingerprinter.lacking(card.fingerprint_id, card.needed)
        field = CostField.load(path, fingerprint_id=fingerprinter.id)
    except CostFieldError as exc:
        raise _no_field(str(exc), lacks, path) from exc
    if lacks:
        raise _no_field(f"the Cost Field in {path} cannot be used", lacks, path)
    return field


def _no_field(said: str, lacks: str, path: Path) -> ConfigError:
    missing = f"; it needs {lacks}, which this model's server does not give" if lacks else ""
    own = "" if path != SHIPPED_FIELD else " (the shipped field is for the default model)"
    return ConfigError(
        f"{said}{missing}{own}. Train one for this model (atlas label, then atlas costfield train) and set cost_field, "
        "or set ranker to a baseline such as agreement"
    )


def choose_ranker(settings: Settings, fingerprinter: ModelFingerprinter) -> tuple[str, str]:
    """(name of the ranker, the reason in words). Raises ConfigError.

    `auto` looks at whose fingerprints the shipped Cost Field is for, so that any model server works with one setting.
    A field that the user names is never passed over: where it does not fit, that is an error.
    """
    if settings.ranker != "auto":
        return settings.ranker, "chosen by the setting ranker"
    if settings.cost_field != SHIPPED_FIELD:
        return "cost-field", "the setting cost_field names one"
    try:
        trained_on = read_card(settings.cost_field).fingerprint_id
    except CostFieldError as exc:
        raise ConfigError(f"the shipped Cost Field cannot be read: {exc}") from exc
    if trained_on == fingerprinter.id:
        return "cost-field", "the shipped Cost Field is for this model"
    name = "log-probability" if fingerprinter.llm.capabilities.logprobs else "agreement"
    return name, "the shipped Cost Field is for another model; train one for yours (atlas label, atlas costfield train)"


def open_ranker(settings: Settings, fingerprinter: ModelFingerprinter) -> Ranker:
    """The configured ranker. Raises ConfigError."""
    name, why = choose_ranker(settings, fingerprinter)
    log.info("ranker %s: %s", name, why, extra={"action": "ranker.chosen", "ranker": name})
    if name != "cost-field":
        return baseline(name)
    return CostFieldRanker.open(fingerprinter, open_field(settings.cost_field, fingerprinter))


def choose_policy(settings: Settings, ranker: Ranker) -> tuple[Policy, str]:
    """What the loop follows, and the reason in words. Raises ConfigError where what is set needs more than there is."""
    s = settings.policy
    field = ranker.field if isinstance(ranker, CostFieldRanker) else None
    siblings = field.card.siblings if field is not None else None
    lacking = "" if siblings else "the Cost Field does not say how siblings vary (train it again)"
    if field is None:
        lacking = f"the ranker is {ranker.name}, which says no P(pass)"
        if s.least_p_pass:
            raise ConfigError(f"policy.least_p_pass cannot be kept: {lacking}; set ranker to cost-field, or it to 0")
    if s.kind == "expected-cost" and lacking:
        raise ConfigError(f"policy.kind cannot be expected-cost: {lacking}")
    if s.kind == "rounds" or siblings is None:
        return FixedRounds(least_p_pass=s.least_p_pass), lacking or "chosen by the setting policy.kind"
    policy = ExpectedCost(
        siblings=siblings, run_price=s.run_price, token_price=s.token_price, group=s.group, false_pass=s.false_pass,
        least_p_pass=s.least_p_pass,
    )
    return policy, "the Cost Field says P(pass) and how siblings vary"


def compose(settings: Settings, fingerprinter: ModelFingerprinter, sandbox: Sandbox) -> tuple[Solver, str]:
    """The loop with its ranker and its policy, and why that policy. Raises ConfigError."""
    ranker = open_ranker(settings, fingerprinter)
    policy, because = choose_policy(settings, ranker)
    log.info("policy %s: %s", policy.name, because, extra={"action": "policy.chosen", "policy": policy.name})
    solver = Solver(
        llm=fingerprinter.llm, ranker=ranker, sandbox=sandbox, budget=settings.budget, policy=policy,
        max_tokens=settings.llm.max_tokens,
        temperature=Warming(start=settings.llm.temperature, greedy_first=settings.llm.greedy_first),
    )
    return solver, because


@asynccontextmanager
async def open_service(settings: Settings) -> AsyncIterator[Service]:
    """Everything open and checked against each other. Raises ConfigError, ModelError, SandboxError."""
    _, why = choose_sandbox(settings)
    async with open_llm(settings) as llm, open_sandbox(settings) as sandbox:
        fingerprinter = ModelFingerprinter.best(llm)
        solver, because = compose(settings, fingerprinter, sandbox)
        ranker, policy = solver.ranker, solver.policy
        info = {
            "model": llm.capabilities.model, "model_sha256": llm.capabilities.model_sha256 or "",
            "fingerprint_id": fingerprinter.id, "ranker": ranker.name, "isolation": sandbox.isolation,
            "isolation_because": why, "ranker_because": choose_ranker(settings, fingerprinter)[1],
            "policy": policy.name, "policy_because": because,
        }
        if isinstance(ranker, CostFieldRanker):
            info["cost_field_sha256"] = ranker.field.card.weights_sha256
        yield Service(base=solver, info=info)


__all__ = [
    "SandboxError", "choose_policy", "choose_ranker", "choose_sandbox", "compose", "open_field", "open_llm",
    "open_ranker", "open_sandbox", "open_service",
]
