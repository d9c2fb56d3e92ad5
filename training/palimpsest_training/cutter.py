"""Where segments end: version 1 of the rule that is written out in engine/segment_cutter.h.

Training works on token arrays of whole books. For our tokenizer this is exact: a piece (white space + word) has the
same tokens wherever it stands, so a book's tokens are the concatenation of its pieces' tokens.
`cut_text` follows the text itself and is what the cases in tests/data/cutter_cases.json are checked with.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

SPACE = " \t\n\r"
CLOSERS = "\"')]}\u2019\u201d\u00bb"
ENDERS = ".!?\u2026"


class TokenTable:
    """What the cutter needs to know of each vocabulary entry, as arrays over the vocabulary."""

    def __init__(self, tokenizer):
        size = tokenizer.get_vocab_size()
        texts = [tokenizer.decode([i]) for i in range(size)]
        special = {i for i in range(size) if not texts[i]}
        self.starts_space = np.array([bool(t) and t[0] in SPACE for t in texts])
        self.only_space = np.array([bool(t) and all(c in SPACE for c in t) for t in texts])
        self.newlines = np.array([t.count("\n") if self.only_space[i] else 0 for i, t in enumerate(texts)], np.int32)
        stripped = [t.rstrip(CLOSERS) for t in texts]
        self.only_closers = np.array([bool(t) and not s.strip() for t, s in zip(texts, stripped)])
        self.ends_sentence = np.array([bool(s) and s[-1] in ENDERS for s in stripped])
        self.special = special

    def word_ends(self, tokens: np.ndarray) -> np.ndarray:
        """True where a piece ends: after this token."""
        ends = np.empty(len(tokens), bool)
        ends[:-1] = ~self.only_space[tokens[:-1]] & self.starts_space[tokens[1:]]
        ends[-1:] = True
        return ends

    def sentence_ends(self, tokens: np.ndarray, word_ends: np.ndarray) -> np.ndarray:
        """True where a piece ends that closes a sentence or a paragraph."""
        enders, closers = self.ends_sentence[tokens], self.only_closers[tokens]
        closing = enders.copy()
        for _ in range(3):  # '.' then '"' then ')' as tokens of their own
            closing[1:] |= closers[1:] & closing[:-1] & ~self.starts_space[tokens[1:]]
        lines = self.newlines[tokens]
        paragraph = np.zeros(len(tokens), bool)
        if len(tokens) > 2:
            paragraph[:-2] = lines[1:-1] + lines[2:] >= 2
            paragraph[:-1] |= lines[1:] >= 2
        return word_ends & (closing | paragraph)


def cut_tokens(word_ends: np.ndarray, sentence_ends: np.ndarray, segment_length: int) -> list[int]:
    """Ends (exclusive) of the segments of a token array."""
    total = len(word_ends)
    words = np.flatnonzero(word_ends) + 1
    sentences = np.flatnonzero(sentence_ends) + 1
    cuts, begin = [], 0
    while begin < total:
        limit = begin + segment_length
        if total <= limit:
            cuts.append(total)
            break
        i = np.searchsorted(sentences, limit, "right") - 1
        if i >= 0 and sentences[i] - begin > 3 * segment_length // 4:
            end = int(sentences[i])
        else:
            j = np.searchsorted(words, limit, "right") - 1
            end = int(words[j]) if j >= 0 and words[j] > begin else limit
        cuts.append(end)
        begin = end
    return cuts


_PIECE = re.compile(rf"[{SPACE}]*[^{SPACE}]+")
_SPACES = re.compile(rf"[{SPACE}]*")


def _closes_sentence(word: str) -> bool:
    word = word.rstrip(CLOSERS)
    return bool(word) and word[-1] in ENDERS


def cut_text(text: str, count, segment_length: int) -> list[tuple[int, int]]:
    """Segments of `text` as (begin, end) byte offsets. `count(text)` is the number of tokens of a text, no BOS."""
    pieces = [(m.start(), m.end()) for m in _PIECE.finditer(text)]
    count_word = lru_cache(1 << 16)(count)  # a book has few different words
    lengths = [count_word(text[a:b]) for a, b in pieces]
    ends, first, begin = [], 0, 0  # in characters; segments follow each other without a gap
    while first < len(pieces):
        used, last, sentence = 0, None, None
        for i in range(first, len(pieces)):
            length = lengths[i] if pieces[i][0] >= begin else count(text[begin : pieces[i][1]])
            if used + length > segment_length:
                break
            used, last = used + length, i
            if used > 3 * segment_length // 4:
                gap = _SPACES.match(text, pieces[i][1]).group() if i + 1 < len(pieces) else ""
                if _closes_sentence(text[pieces[i][0] : pieces[i][1]]) or gap.count("\n") >= 2:
                    sentence = i
        if last is None:  # one piece longer than S: as many whole characters as fit
            start, stop = begin, pieces[first][1]
            end = start + 1
            while end < stop and count(text[start : end + 1]) <= segment_length:
                end += 1
            ends.append(end)
            begin = end
            if begin == stop:
                first += 1
                begin = stop
            continue
        if last < len(pieces) - 1 and sentence is not None:
            last = sentence
        end = pieces[last][1]
        while count(text[begin:end]) > segment_length and last > first:  # a tokenizer that is not additive over pieces
            last -= 1
            end = pieces[last][1]
        ends.append(end)
        first, begin = last + 1, end
    begins = [0] + ends[:-1]
    sizes = [len(text[a:b].encode()) for a, b in zip(begins, ends)]
    offsets = [0] + np.cumsum(sizes, dtype=np.int64).tolist()
    return list(zip(offsets[:-1], offsets[1:]))


def text_segments(text: str, tokenizer, segment_length: int) -> list[list[int]]:
    """Token ids (no BOS) of each segment of a stored text, as the engine reads it: each one's text encoded by itself."""
    encode = lambda t: tokenizer.encode(t, add_special_tokens=False).ids
    raw = text.encode()
    return [encode(raw[a:b].decode()) for a, b in cut_text(text, lambda t: len(encode(t)), segment_length)]
