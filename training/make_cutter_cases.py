"""Writes tests/data/cutter_cases.json: texts and where the segment cutter (version 1) must cut them.

    python training/make_cutter_cases.py

The rule is written out in engine/segment_cutter.h. This is the slow, obvious reference: it takes no short cut, shares
no code with the engine or with palimpsest_training, and asks the tokenizer again for every count.
"""

from __future__ import annotations

import html
import json
import random
import re
import zipfile
from pathlib import Path

from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "resources" / "books" / "se_the-time-machine.epub"
TOKENIZER = ROOT / "tests" / "data" / "tiny-model" / "tokenizer.json"
CASES = ROOT / "tests" / "data" / "cutter_cases.json"

WHITE = b" \t\n\r"
CLOSERS = [c.encode() for c in "\"')]}\u2019\u201d\u00bb"]
ENDERS = [c.encode() for c in ".!?\u2026"]


class Reference:
    def __init__(self, tokenizer: Tokenizer, segment_length: int):
        self.tokenizer, self.segment_length = tokenizer, segment_length

    def count(self, data: bytes) -> int:
        return len(self.tokenizer.encode(data.decode("utf-8"), add_special_tokens=False).ids)

    def pieces(self, text: bytes, begin: int) -> list[tuple[int, int]]:
        """(begin, end) of each piece from `begin` on: white space, then a word."""
        found, at = [], begin
        while at < len(text):
            end = at
            while end < len(text) and text[end] in WHITE:
                end += 1
            if end == len(text):
                break
            while end < len(text) and text[end] not in WHITE:
                end += 1
            found.append((at, end))
            at = end
        return found

    def is_sentence_end(self, text: bytes, end: int) -> bool:
        gap = end
        while gap < len(text) and text[gap] in WHITE:
            gap += 1
        if text[end:gap].count(b"\n") >= 2:
            return True
        word = text[:end]
        while any(word.endswith(closer) for closer in CLOSERS):
            word = word[: -len(next(c for c in CLOSERS if word.endswith(c)))]
        return any(word.endswith(ender) for ender in ENDERS)

    def cut_inside(self, piece: bytes) -> int:
        """Bytes of the longest run of whole characters that fits, found by doubling and halving."""
        most = 64 * self.segment_length
        starts = [i for i in range(len(piece)) if piece[i] & 0xC0 != 0x80] + [len(piece)]
        fits = lambda n: starts[n] <= most and self.count(piece[: starts[n]]) <= self.segment_length
        good, bad, tried = 1, len(starts), self.segment_length
        while good + 1 < bad:
            tried = min(tried, bad - 1)
            if not fits(tried):
                bad = tried
                break
            good, tried = tried, tried * 2
        while good + 1 < bad:
            middle = (good + bad) // 2
            if fits(middle):
                good = middle
            else:
                bad = middle
        return starts[good]

    def next(self, text: bytes, begin: int) -> int | None:
        """The end of the segment that begins at `begin`."""
        pieces = self.pieces(text, begin)
        if not pieces:
            return None
        limit, used, fitting = self.segment_length, 0, []
        for piece_begin, piece_end in pieces:
            used += self.count(text[piece_begin:piece_end])
            if piece_end - piece_begin > 64 * limit or used > limit:
                break
            fitting.append((piece_end, used))
        if not fitting:
            return begin + self.cut_inside(text[pieces[0][0] : pieces[0][1]])
        if len(fitting) < len(pieces):
            late = [i for i, (end, offset) in enumerate(fitting) if offset > 3 * limit // 4 and self.is_sentence_end(text, end)]
            if late:
                fitting = fitting[: late[-1] + 1]
        while len(fitting) > 1 and self.count(text[begin : fitting[-1][0]]) > limit:
            fitting.pop()
        return fitting[-1][0]

    def cuts(self, text: str) -> list[list[int]]:
        data, begin, out = text.encode("utf-8"), 0, []
        while (end := self.next(data, begin)) is not None:
            assert self.count(data[begin:end]) <= self.segment_length
            out.append([begin, end])
            begin = end
        return out


def book_text(paragraphs: int) -> str:
    """The first paragraphs of the bundled book, as stored text: joined by blank lines."""
    found = []
    with zipfile.ZipFile(BOOK) as archive:
        for name in sorted(n for n in archive.namelist() if "/text/chapter" in n and n.endswith(".xhtml")):
            for match in re.finditer(r"<p[ >].*?</p>", archive.read(name).decode("utf-8"), re.S):
                found.append(" ".join(html.unescape(re.sub(r"<[^>]*>", "", match.group())).split()))
    return "\n\n".join(found[:paragraphs])


def made_up(seed: int, words: int) -> str:
    """Words, sentence ends, quotes, blank lines and long runs in a random order."""
    rng = random.Random(seed)
    stock = ["the", "Weena", "machine", "of", "1895", "(so", "said:", "\u201cCome", "na\u00efve", "caf\u00e9", "\u6642\u9593\u6a5f\u68b0", "\u0432\u0440\u0435\u043c\u044f", "\U0001f980", "a" * 70, "3.14159", "x" * 9]
    ends = [".", "!", "?", "\u2026", ".\u201d", ".')", "?\u2019", "!\u00bb", ".\"]", "...", ",", ";", "."]
    gaps = [" ", " ", " ", " ", "\n", "\n\n", "  ", "\t", "\r\n\r\n", "\n \n", "\n\n\n\n"]
    text = rng.choice(["", "", " ", "\n\n"])
    for _ in range(words):
        text += rng.choice(stock) + (rng.choice(ends) if rng.random() < 0.2 else "") + (rng.choice(gaps) if rng.random() < 0.25 else " ")
    return text


def texts() -> list[str]:
    return [
        "",
        " \n\n\t ",
        "One word.",
        "  Led by white space and followed by it.  \n\n",
        "No sentence end anywhere in this text of many words " * 6,
        "Short. " * 60,
        "He said \u201cyes.\u201d She said (no!) They \u00abasked?\u00bb And \u2018left\u2026\u2019 so " * 8,
        "A heading\n\nThen a paragraph without a full stop\n\nAnother one\n\n" * 8,
        "tabs\tand\nsingle\nlines\r\nof text. " * 20,
        "0123456789" * 40,
        "https://example.org/a/very/long/address?with=many&parts=in_it#and-so-on/" * 6,
        "x" * 500 + " then words follow. " + "y" * 300,
        "\u6642\u9593\u65c5\u884c\u8005\u306f\u8a71\u3057\u305f\u3002" * 30,
        "\u0412\u0440\u0435\u043c\u044f \u0448\u043b\u043e. " * 40,
        "\U0001f600\U0001f680 emoji \U0001f468\u200d\U0001f469\u200d\U0001f467. " * 20,
        "e\u0301te\u0301 \u00e9t\u00e9 " * 40,
        "Mr. Filby did not see the \"time machine.\") Nor did I.] " * 12,
        "word" + " " * 200 + "word. " * 30,
        "\"" * 150 + " end.",
        book_text(40),
    ] + [made_up(seed, 120) for seed in range(8)]


def main() -> None:
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    cases = []
    for i, text in enumerate(texts()):
        for segment_length in ([32, 128] if i == 19 else [16, 33, 64]):
            cases.append({"text": text, "segment_length": segment_length, "cuts": Reference(tokenizer, segment_length).cuts(text)})
    lines = ",\n".join(json.dumps(case, ensure_ascii=True, separators=(",", ":")) for case in cases)
    CASES.write_text("[\n" + lines + "\n]\n")


if __name__ == "__main__":
    main()
