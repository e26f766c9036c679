"""What a store writes down about how its vectors are kept: all that reading them back needs."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from costfield.quantise.rotation import Kind, fastest

CODEC_VERSION: Literal[1] = 1  # another as soon as bytes that are stored would mean another vector
Name = Literal["float", "scalar", "eden", "product", "polar"]
WIDTHS: dict[Name, tuple[int, ...]] = {
    "float": (32, 16),
    "scalar": (8, 4, 3, 2, 1),
    "eden": (8, 4, 3, 2, 1),
    "product": (8, 4, 3, 2, 1),
    "polar": (4, 3, 2),
}
LEAST_DITHERED = 3


class CodecSpec(BaseModel):
    """One way of keeping vectors. A bit width that a codec does not have raises ValueError."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: Literal[1] = CODEC_VERSION
    name: Name
    bits: int
    rotation: Kind = "none"
    seed: int = Field(default=0, ge=0)  # of rotation, sketch and dither
    dither: bool = False

    @classmethod
    def of(cls, bits: int, dims: int, *, name: Name | None = None, seed: int = 0, dither: bool = False) -> CodecSpec:
        """The usual codec of that many bits: floats at 32 and 16, else "scalar" after the rotation that is fastest."""
        name = name or ("float" if bits in WIDTHS["float"] else "scalar")
        if name == "float":
            return cls(name=name, bits=bits, dither=dither)
        return cls(name=name, bits=bits, rotation=fastest(dims), seed=seed, dither=dither)

    @model_validator(mode="after")
    def _exists(self) -> Self:
        if self.bits not in WIDTHS[self.name]:
            widths = ", ".join(map(str, WIDTHS[self.name]))
            raise ValueError(f"there is no {self.name} codec of {self.bits} bits; it has {widths}")
        if self.name == "float" and (self.rotation != "none" or self.seed):
            raise ValueError("floats are stored as they are: they take no rotation and no seed")
        if self.dither and (self.name != "scalar" or self.bits < LEAST_DITHERED):
            raise ValueError(f"dither is for the scalar codec of {LEAST_DITHERED} bits or more")
        return self

    def __str__(self) -> str:
        """`float16`, `scalar4/hadamard-0/v1`: what messages and shards call it."""
        if self.name == "float":
            return f"float{self.bits}"
        return f"{self.name}{self.bits}{'d' * self.dither}/{self.rotation}-{self.seed}/v{self.version}"


FLOAT16 = CodecSpec(name="float", bits=16)
