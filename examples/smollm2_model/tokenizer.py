"""Byte-level BPE with SmolLM2's word splitting, from the vocabulary in the GGUF file.

Text is cut into words (each digit alone, then GPT-2's rule), each word is spelled as bytes, and the
pair of pieces with the lowest merge rank is joined until none is left (arXiv:1508.07909).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise

from smollm2_model.weights import Vocabulary

START, END = "<|im_start|>", "<|im_end|>"
SYSTEM_PROMPT = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
"""What the model's chat template says when a conversation has no system message of its own."""

CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")

# GPT-2's pattern needs the Unicode classes \p{L} and \p{N}, which `re` lacks. So each character is
# replaced by its class and the pattern runs over the classes: L letter, N number, S other white
# space, a blank for itself, O anything else.
WORD = re.compile(r" ?L+| ?N| ?O+|[ S]+(?![LNO])|[ S]+")
WHITE_SPACE = frozenset(
    "\t\n\v\f\r\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


class Tokenizer:
    """Text to token ids and back."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.end = vocabulary.end
        self.control = {vocabulary.tokens[i]: i for i in sorted(vocabulary.control)}
        self._id = {
            token: i for i, token in enumerate(vocabulary.tokens) if i not in vocabulary.control
        }
        self._text = vocabulary.tokens
        self._rank = {
            (left, right): rank
            for rank, (left, right) in enumerate(merge.split(" ") for merge in vocabulary.merges)
        }
        self._word_ids = lru_cache(maxsize=65_536)(self._encode_word)

    def encode(self, text: str) -> list[int]:
        """Return the ids of plain text. The spelling of a control token is plain text here.

        The published vocabulary lacks the bytes of some rare characters; like the published
        tokenizer, this one drops them. ``spells`` tells.
        """
        return [token for word in split_words(text) for token in self._word_ids(word)]

    def spells(self, text: str) -> bool:
        """Say whether every byte of ``text`` has a token, so that decoding gives it back."""
        return all(BYTE_SPELLING[byte] in self._id for byte in text.encode(errors="replace"))

    def chat(self, prompt: str, system: str = SYSTEM_PROMPT) -> list[int]:
        """Return the ids of the chat template with one system and one user message.

        Only the template writes control tokens, so a prompt cannot end its own turn.
        """
        ids = []
        for role, content in (("system", system), ("user", prompt)):
            ids += [self.control[START], *self.encode(f"{role}\n{content}")]
            ids += [self.control[END], *self.encode("\n")]
        return [*ids, self.control[START], *self.encode("assistant\n")]

    def decode(self, ids: Iterable[int]) -> str:
        return b"".join(map(self.token_bytes, ids)).decode(errors="replace")

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes of one token, which may be a part of a character."""
        text = self._text[token]
        if text in self.control:
            return text.encode()
        return bytes(SPELLED_BYTE[letter] for letter in text)

    def _encode_word(self, word: str) -> tuple[int, ...]:
        spelling = (BYTE_SPELLING[byte] for byte in word.encode(errors="replace"))
        # Bytes without a token go first: their neighbours may then merge, as when published.
        return tuple(self._id[p] for p in self._merge([s for s in spelling if s in self._id]))

    def _merge(self, pieces: list[str]) -> list[str]:
        never = len(self._rank)
        while len(pieces) > 1:
            best = min(pairwise(pieces), key=lambda pair: self._rank.get(pair, never))
            if best not in self._rank:
                break
            pieces = list(_join(pieces, best))
        return pieces


def split_words(text: str) -> Iterator[str]:
    """Cut text as the published tokenizer does: every number alone, then GPT-2's rule between."""
    classes = "".join(map(_character_class, text))
    for run in re.finditer(r"N|[^N]+", classes):
        yield from _split_run(text[run.start() : run.end()], run.group())


def _split_run(text: str, classes: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        contraction = next((c for c in CONTRACTIONS if text.startswith(c, at)), None)
        if contraction is not None:
            end = at + len(contraction)
        else:
            word = WORD.match(classes, at)
            assert word is not None, "every class begins some word"
            end = word.end()
        yield text[at:end]
        at = end


@lru_cache(maxsize=4096)
def _character_class(character: str) -> str:
    if character == " ":
        return " "
    if character in WHITE_SPACE:
        return "S"
    category = unicodedata.category(character)[0]
    return category if category in "LN" else "O"


def _join(pieces: list[str], pair: tuple[str, str]) -> Iterator[str]:
    """Replace every ``pair`` of neighbours by one piece, from the left."""
    at = 0
    while at < len(pieces):
        width = 2 if tuple(pieces[at : at + 2]) == pair else 1
        yield "".join(pieces[at : at + width])
        at += width


def _byte_spelling() -> tuple[str, ...]:
    """Return GPT-2's letter for each byte: itself when printable, else the next from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(256) if byte not in printable)
    letters = {byte: 0x100 + index for index, byte in enumerate(others)}
    return tuple(chr(letters.get(byte, byte)) for byte in range(256))


BYTE_SPELLING = _byte_spelling()
SPELLED_BYTE = {letter: byte for byte, letter in enumerate(BYTE_SPELLING)}
