"""Training batches for a Llama with any tokenizer, and the documents of the evaluation during a run.

Documents are drawn as for the shipped model (documents.py), in the tokens of the packed books ("packed tokens", the
shipped model's byte-level tokenizer by default). Then each becomes text, is cut by the rule that the engine follows
(cutter.cut_text) and every segment is tokenised on its own, as the engine does when it reads: no token spans a cut, and
nothing is assumed of the model's tokenizer (in Llama 3 ".\\n\\n" is one token, so that token arrays cannot be cut).

A batch is a function of (seed, rank, step, progress) alone: a run that goes on from a checkpoint draws what the
uninterrupted one would have drawn.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from queue import Empty

import numpy as np
from tokenizers import Tokenizer

from .absent import Acquaintances
from .batches import BatchMaker
from .books import Books
from .cases import Asked, Cases
from .corpus import book_files
from .cutter import cut_text
from .facts import UNKNOWN
from .llama_folder import FolderError
from .prepare import prepare
from .questions import Question
from .stages import STAGES, Stage, stage_at

BOS_COLUMNS = ("segments", "write", "labels", "questions", "answers")


@dataclass(frozen=True)
class Vocabulary:
    """The model's tokenizer, and what opens a segment (None: nothing) and ends an answer."""

    tokenizer: Tokenizer
    bos: int | None
    eos: int

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def answer(self, prompt: str, answer: str) -> list[int]:
        """The tokens that follow the prompt's when both are one text; `answer` begins with its space."""
        before, whole = self.encode(prompt), self.encode(prompt + answer)
        if whole[: len(before)] == before:
            return whole[len(before) :]
        # SentencePiece puts a space before each text itself
        return self.encode(answer.removeprefix(" ") if self.tokenizer.encode("x", add_special_tokens=False).tokens[0] != "x" else answer)


def scaled_stages(segment_length: int, tokens: int) -> dict[str, Stage]:
    """The curriculum's stages for a model of segments of S tokens: documents of the same lengths in segments of at most S,
    at least 16 of them where S is above 256. Documents of more than `tokens` are left out."""
    stages = {}
    for name, s in STAGES.items():
        if s.stories:  # it needs files of its own
            continue
        total = s.segments * s.segment_length
        length = min(segment_length, max(s.segment_length, total // 16))
        if total <= tokens:
            stages[name] = replace(s, segment_length=length, segments=max(2, total // length))
    if not stages:
        raise FolderError(f"--tokens {tokens} is too few: the shortest documents have 512.")
    return stages


class HeadBatches(BatchMaker):
    """Batches of the memory phase in the model's own tokens (i32 instead of u16)."""

    ids = np.int32

    def __init__(self, books: Books, vocabulary: Vocabulary, segment_length: int, seed: int, rank: int, tokens: int):
        super().__init__(books, 0, tokens, question_length=96)
        self.v, self.seed, self.rank = vocabulary, seed, rank
        self.stages = scaled_stages(segment_length, tokens)
        self.eos = vocabulary.eos
        self.bos = vocabulary.eos if vocabulary.bos is None else vocabulary.bos  # None: the column is dropped in the end
        self.packed_bytes = packed_bytes(books.tokenizer)
        self.count = lru_cache(1 << 18)(lambda text: len(vocabulary.encode(text)))
        sample = books.tokenizer.decode(books.tokens[:20000].tolist())
        self.packed_per_token = min(20000, len(books.tokens)) / max(1, len(vocabulary.encode(sample)))

    def batch(self, step: int, progress: float, names: list[str] | None = None) -> tuple[str, dict[str, np.ndarray]]:
        """The stage's name and its batch. names: draw these stages only."""
        together = random.Random(f"{self.seed} {step}")  # all ranks draw the same stage: a step lasts as long as its slowest rank
        name = together.choice(names) if names else stage_at(progress, together)
        self.rng.seed(f"{self.seed} {self.rank} {step}")
        if name not in self.stages:  # its documents are too long for this device
            name = max(self.stages, key=lambda n: (not self.stages[n].stream, self.stages[n].segments * self.stages[n].segment_length))
        batch = self.memory_batch(name)
        if self.v.bos is None:
            short, width = batch["split"]
            batch |= {k: batch[k][:, :, 1:] for k in BOS_COLUMNS} | {"split": (short, width - 1)}
        return name, batch

    def document(self, stage: Stage, met: Acquaintances | None = None) -> tuple[np.ndarray, list[Question], set]:
        return super().document(self._in_packed_tokens(stage), met)

    def portion(self, stage: Stage, row: int, rows: int) -> tuple[np.ndarray, list[Question], bool]:
        return super().portion(self._in_packed_tokens(stage), row, rows)

    def _in_packed_tokens(self, stage: Stage) -> Stage:
        """As long a text as fills the stage's segments in the model's tokens."""
        return replace(stage, segments=stage.segments * self.packed_per_token)

    def cut(self, tokens: np.ndarray, asked: list[Question], stage: Stage) -> tuple[np.ndarray, list[int], list[Question]]:
        whole = self.books.tokenizer.decode(tokens.tolist()).rstrip("\ufffd")
        text = whole.lstrip()
        shift = len(whole) - len(text)  # white space of one byte each
        read = np.concatenate([[0], np.cumsum(self.packed_bytes[tokens])]) - shift
        spans = cut_text(text, self.count, stage.segment_length)[: stage.segments]
        raw = text.encode()
        segments = [self.v.encode(raw[a:b].decode()) for a, b in spans]
        cuts = np.cumsum([len(s) for s in segments]).tolist()
        ends = np.array([b for _, b in spans])
        moved = []
        for q in asked:
            segment = int(np.searchsorted(ends, read[q.after])) if q.after > 0 else 0
            if segment == len(ends) and read[q.after] > ends[-1] and ends[-1] < len(raw.rstrip()):
                continue  # what was cut off is not asked
            moved.append(self._in_own_tokens(q, cuts[min(segment, len(cuts) - 1)] if q.after > 0 else 0))
        return np.array([t for s in segments for t in s], np.int32), cuts, moved

    def _in_own_tokens(self, q: Question, after: int) -> Question:
        prompt, answer = (self.books.tokenizer.decode(ids) for ids in (q.prompt, q.answer))  # without the end token
        return replace(q, prompt=self.v.encode(prompt), answer=self.v.answer(prompt, answer) + [self.eos], after=after, told_at=None)

    def refusal(self) -> list[int]:
        return self.v.answer("Answer:", " " + UNKNOWN) + [self.eos]

    def after_turn(self, earlier: Question, prompt: list[int]) -> list[int]:
        said, asked = (self.v.tokenizer.decode(ids) for ids in (earlier.prompt + earlier.answer[:-1], prompt))
        return self.v.encode(f"{said}\n\n{asked}")


def packed_bytes(tokenizer: Tokenizer) -> np.ndarray:
    """Bytes of each token of a byte-level tokenizer: in its vocabulary one character stands for one byte."""
    if "ByteLevel" not in repr(tokenizer.decoder):
        raise FolderError("The tokenizer of the packed books must be a byte-level one, such as the shipped model's.")
    special = {i for i, t in tokenizer.get_added_tokens_decoder().items() if t.special}
    return np.array([0 if i in special else len(tokenizer.id_to_token(i) or "") for i in range(tokenizer.get_vocab_size())])


def evaluation_documents(books: Books, size: int, count: int, seed: int = 7) -> list[tuple[str, list[Asked]]]:
    """Texts of about `size` packed tokens with eight facts each, of held-out names and numbers; and what is asked."""
    cases = Cases(books, seed)
    drawn = [cases.facts(size, 8) for _ in range(count)]
    return [(books.tokenizer.decode(d.text.tolist()).strip().rstrip("\ufffd"), d.rows["facts-8"]) for d in drawn]


def open_books(data: list[Path], packed_tokenizer: Path, folder: Path, first: bool, held_out: bool = False) -> Books | None:
    """Packed files (.npz) as they are; folders of .txt are packed into `folder` by the first rank, while the others wait.

    None: no book of the folders is on the asked side of the split. Raises FolderError.
    """
    file = packed_tokenizer / "tokenizer.json"
    if not file.exists():
        raise FolderError(f"There is no tokenizer of the packed books at {file}. Give --packed-tokenizer.")
    packed = []
    for path in data:
        if path.suffix == ".npz" and path.is_file():
            packed.append(path)
            continue
        if not path.is_dir():
            raise FolderError(f"There is no data at {path}. Give folders of .txt books, or files that palimpsest_training.prepare has packed.")
        books = book_files(path, held_out)
        if books:
            packed.append(_packed(books, file, folder, first))
    if not packed:
        return None
    tokenizer = Tokenizer.from_file(str(file))
    highest = max(int(np.load(p)["tokens"].max()) for p in packed)
    if highest >= tokenizer.get_vocab_size():
        raise FolderError(f"The books of {packed[0]} were packed with another tokenizer than {file}. Give theirs as --packed-tokenizer.")
    books = Books(tokenizer, *packed)
    if not held_out and not books.mined:  # a question about another place is part of every document
        raise FolderError(f"The rules find no question in the books of {data[0]}: the text is too short, or not English prose.")
    return books


def _packed(books: list[Path], tokenizer: Path, folder: Path, first: bool) -> Path:
    known = [f"{b.name} {b.stat().st_size} {b.stat().st_mtime_ns}" for b in books] + [hashlib.sha256(tokenizer.read_bytes()).hexdigest()]
    out = folder / f"books-{hashlib.sha256(chr(10).join(known).encode()).hexdigest()[:16]}.npz"
    if first and not out.exists():
        folder.mkdir(parents=True, exist_ok=True)
        half = out.with_suffix(".part.npz")
        prepare(books, tokenizer, half, None, min(16, os.cpu_count() or 1))
        half.replace(out)
    while not out.exists():
        time.sleep(0.2)
    return out


class Feed:
    """Worker processes that draw the batches of one rank, in the order of the steps. Fork before the GPU is opened."""

    def __init__(self, maker: HeadBatches, first_step: int, workers: int, steps: int, pace: float, names: list[str] | None):
        context = multiprocessing.get_context("fork")
        self.clock = context.Value("d", 0.0)  # progress of a run that is measured in minutes
        self.queues = [context.Queue(maxsize=2) for _ in range(workers)]
        self.next = 0

        def work(i: int) -> None:
            for step in range(first_step + i, 1 << 62, workers):
                progress = step / steps if steps else self.clock.value
                self.queues[i].put(maker.batch(step, min(1.0, pace * progress), names))

        self.pool = [context.Process(target=work, args=(i,), daemon=True) for i in range(workers)]
        for p in self.pool:
            p.start()

    def get(self) -> tuple[str, dict[str, np.ndarray]]:
        """The next step's batch. Raises RuntimeError when its worker has died."""
        i, self.next = self.next, (self.next + 1) % len(self.queues)
        while True:
            try:
                return self.queues[i].get(timeout=5)
            except Empty:
                if not self.pool[i].is_alive():
                    raise RuntimeError("A process that draws training batches has ended; its error stands above.") from None

    def close(self) -> None:
        for p in self.pool:
            p.kill()
