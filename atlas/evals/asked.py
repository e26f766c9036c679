"""What a run was asked to do, kept in its folder: so that `atlas eval resume` needs nothing but the folder's name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from atlas import models
from atlas.errors import ConfigError
from atlas.protocols import Capabilities
from costfield.shards import replace_file
from sandbox.types import Frozen

ASKED = "asked.json"
QUANTISED = re.compile(r"(?<![a-z0-9])(i?q\d(_[a-z0-9]+)*|bf16|f16|f32|fp8|awq|gptq)(?![a-z0-9])")


class Asked(Frozen):
    """Which problems, where their files may lie, and which model answers. How it samples is in `run.json`.

    `quantisation` and `engine` are empty where the model's server does not say.
    """

    schema_version: Literal[1] = 1
    datasets: tuple[str, ...]
    data: tuple[str, ...]
    sha256: str | None
    limit: int | None
    ids: tuple[str, ...]
    model: str
    quantisation: str
    engine: str

    @classmethod
    def read(cls, folder: Path) -> Asked | None:
        """What the run in `folder` was asked; None where nobody noted it. Raises ConfigError where it is damaged."""
        try:
            return cls.model_validate_json((folder / ASKED).read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise ConfigError(f"{folder / ASKED} cannot be read: {error.errors()[0]['msg']}") from error

    def write(self, folder: Path) -> None:
        replace_file(folder / ASKED, (self.model_dump_json(indent=2) + "\n").encode())


def quantisation(model: Capabilities) -> str:
    """How the model's weights are quantised, by the name of its file: Q4_K_M, F16, ...; empty where no name says it."""
    files = [one.file for one in models.CATALOGUE.values() if one.sha256 == model.model_sha256]
    found = QUANTISED.search(" ".join([*files, model.model]).lower())
    return found[1].upper() if found else ""
