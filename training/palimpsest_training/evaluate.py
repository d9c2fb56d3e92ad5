"""What the model remembers: tables from held-out books, names and numbers, answered from memory alone by free decoding.

    python -m palimpsest_training.evaluate --model FILE.pt|FOLDER --data heldout.npz --tokenizer DIR --out evaluation.json

Each cell: documents of T tokens of unseen prose (whole books in sequence) with facts at random sentence ends; every
question asked after the last token. Beside the score stand the same questions with the memory zeroed, with another
document's memory, and the commonest answer of the cell. Intervals: 95 %, bootstrap over documents.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from .batches import BOS, EOS, BatchMaker
from .books import Books, book_card
from .config import PROMPTS
from .cutter import cut_tokens
from .export import load_model
from .facts import PASSKEY_FILLER, PASSKEY_INTRO, PASSKEY_QUESTION, UNKNOWN, draw_facts, passkey_sentence
from .model import InfiniLlama, MemoryState

SIZES = {"2K": 2048, "8K": 8192, "32K": 32768, "128K": 131072, "512K": 524288, "1M": 1048576, "4M": 4194304}


class Reader:
    """Reads token arrays into memories and answers questions from them, greedily."""

    def __init__(self, model: InfiniLlama, books: Books, device, pass_segments: int = 256):
        self.model, self.books, self.device, self.pass_segments = model.to(device).eval(), books, device, pass_segments

    @torch.no_grad()
    def read(self, tokens: np.ndarray):
        S = self.model.c.segment_length
        words = self.books.table.word_ends(tokens)
        cuts = [0] + cut_tokens(words, self.books.table.sentence_ends(tokens, words), S)
        states = None
        for first in range(0, len(cuts) - 1, self.pass_segments):
            spans = list(zip(cuts[first:-1], cuts[first + 1 :]))[: self.pass_segments]
            segments = np.full((1, len(spans), S + 1), EOS, np.int64)
            write = np.zeros((1, len(spans), S + 1), bool)
            segments[:, :, 0] = BOS
            for n, (a, b) in enumerate(spans):
                segments[0, n, 1 : b - a + 1] = tokens[a:b]
                write[0, n, 1 : b - a + 1] = True
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
                _, _, states = self.model.read_and_ask(
                    torch.from_numpy(segments).to(self.device), torch.from_numpy(write).to(self.device), states=states, keep_states=True)
        return states

    @torch.no_grad()
    def answer(self, prompts: list[list[list[int]]], states, max_new: int = 24, unknown_bias: float = 0.0) -> list[list[str]]:
        """prompts[document][question] token ids; states: one list per document. Greedy, until EOS.

        unknown_bias: of config.py, for questions; the book card is no answer.
        """
        B, Q = len(prompts), max(len(p) for p in prompts)
        longest = max(len(q) for p in prompts for q in p) + 1
        ids = torch.full((B, Q, longest + max_new), EOS, dtype=torch.long)
        ids[:, :, 0] = BOS
        length = torch.ones(B, Q, dtype=torch.long)
        for b, p in enumerate(prompts):
            for q, tokens in enumerate(p):
                ids[b, q, 1 : len(tokens) + 1] = torch.tensor(tokens)
                length[b, q] = len(tokens) + 1
        ids, length = ids.to(self.device), length.to(self.device)
        start, done = length.clone(), torch.zeros_like(length, dtype=torch.bool)
        joined = [[MemoryState(torch.cat([s[l][i].M for s in states]), torch.cat([s[l][i].z for s in states]))
                   for i in range(len(states[0][l]))] for l in range(len(states[0]))]
        zero = torch.zeros(B, Q, dtype=torch.long, device=self.device)
        unknown = self.books.tokenizer.encode(" " + UNKNOWN, add_special_tokens=False).ids[0]
        for step in range(max_new):
            width = int(length.max())
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
                _, hidden, _ = self.model.read_and_ask(None, None, ids[:, :, :width], zero, states=joined)
                last = hidden.gather(2, (length - 1)[..., None, None].expand(-1, -1, 1, hidden.shape[-1])).squeeze(2)
                logits = self.model.head(last).float()
                if step == 0:
                    logits[..., unknown] -= unknown_bias
                token = logits.argmax(-1)
            token = torch.where(done, torch.full_like(token, EOS), token)
            ids.scatter_(2, length.unsqueeze(-1), token.unsqueeze(-1))
            done |= token == EOS
            length = length + (~done).long()
            if done.all():
                break
        out = []
        for b, p in enumerate(prompts):
            out.append([self.books.tokenizer.decode(ids[b, q, start[b, q] : length[b, q]].tolist()).strip() for q in range(len(p))])
        return out


def zeroed(states):
    return [[MemoryState(torch.zeros_like(s.M), torch.zeros_like(s.z)) for s in layer] for layer in states]


def added(shelf: list):
    """The sum of several books' states, in the order given: what the engine's addMemories() makes of their memories."""
    add = lambda parts: MemoryState(sum((s.M for s in parts[1:]), parts[0].M), sum((s.z for s in parts[1:]), parts[0].z))
    return [[add([states[l][i] for states in shelf]) for i in range(len(shelf[0][l]))] for l in range(len(shelf[0]))]


def shelve(documents: list, states: list, books: int):
    """Every document on a shelf with the next ones: its own questions, the shelf's sum. What another book of the shelf is
    asked as well is left out: the sum would hold two answers, and what is unknown of one book is known of the other."""
    around = lambda i: [(i + k) % len(documents) for k in range(books)]
    asked = [{q for _, q, _ in questions} for _, questions in documents]
    kept = [(t, [x for x in questions if not any(x[1] in asked[k] for k in around(i)[1:])]) for i, (t, questions) in enumerate(documents)]
    return kept, [added([states[k] for k in around(i)]) for i in range(len(documents))]


def interval(per_document: list[list[bool]], seed: int = 0, rounds: int = 1000) -> list[float]:
    rng = np.random.default_rng(seed)
    hits, totals = np.array([sum(d) for d in per_document]), np.array([len(d) for d in per_document])
    pick = rng.integers(0, len(hits), (rounds, len(hits)))
    rates = hits[pick].sum(1) / np.maximum(1, totals[pick].sum(1))
    return [round(float(x), 3) for x in np.quantile(rates, [0.025, 0.975])]


class Cases:
    """Documents and questions of one cell. A question is (kind, text, answer); `open` kinds are names and numbers."""

    def __init__(self, books: Books, seed: int):
        self.maker = BatchMaker(books, seed)
        self.books, self.rng = books, self.maker.rng

    def facts(self, size: int, count: int):
        facts, unknown = draw_facts(self.rng, count, True, max(2, count // 4))
        begin, end = self.books.range(self.rng, size - 14 * count)
        tokens, _ = self.maker.strew(self.books.stretch(begin, end), [f.statement for f in facts])
        questions = [("closed:" + f.family if f.closed else f.family, f.question, f.answer) for f in facts]
        return tokens, questions + [("unknown", f.question, UNKNOWN) for f in unknown]

    def natural(self, size: int, count: int = 8):
        while True:
            begin, end = self.books.range(self.rng, size)
            found = self.books.questions(begin, end)
            if len(found) >= 4:
                break
        chosen = self.rng.sample(found, min(count, len(found)))
        questions = [("natural:" + self.books.mined_kind[i], *self.books.mined[i]) for i in chosen]
        return self.books.tokens[begin:end], questions + [("unknown", self.maker.foreign_question(), UNKNOWN)]

    def passkey(self, size: int, depth: float):
        key = str(self.rng.randint(1000, 9999))
        enc = self.maker.encode
        filler, intro, needle = enc(" " + PASSKEY_FILLER), enc(PASSKEY_INTRO), enc(" " + passkey_sentence(key))
        total = (size - len(intro) - len(needle)) // len(filler)
        before = round(total * min(1.0, max(0.0, depth + self.rng.uniform(-0.05, 0.05))))
        return np.array(intro + filler * before + needle + filler * (total - before), np.uint16), [("passkey", PASSKEY_QUESTION, key)]


def run_cell(reader: Reader, documents: list, knock_out: bool = True, books: int = 1) -> dict:
    """documents: (tokens, questions). Scores per kind, and the knock-outs. books > 1: each document is asked as one of a
    shelf of so many, from the sum of their memories; swapped is then a shelf without it."""
    started = time.time()
    states = [reader.read(t) for t, _ in documents]
    read_seconds = time.time() - started
    if books > 1:
        assert len(documents) > books, "a shelf without the document needs one document more"
        documents, states = shelve(documents, states, books)
    encode = lambda q: reader.books.tokenizer.encode(PROMPTS["question"].format(question=q), add_special_tokens=False).ids
    prompts = [[encode(q) for _, q, _ in questions] for _, questions in documents]
    conditions = {"memory": states}
    if knock_out:
        conditions |= {"zeroed": [zeroed(s) for s in states], "swapped": states[1:] + states[:1]}
    answers = {k: reader.answer(prompts, s, unknown_bias=reader.model.c.unknown_bias) for k, s in conditions.items()}
    wanted = [[a for _, _, a in questions] for _, questions in documents]
    kinds = [[k for k, _, _ in questions] for _, questions in documents]

    def score(given, select) -> dict:
        per_document = [[g == w for g, w, k in zip(gs, ws, ks) if select(k)] for gs, ws, ks in zip(given, wanted, kinds)]
        flat = [x for d in per_document for x in d]
        return {"exact": round(sum(flat) / max(1, len(flat)), 4), "n": len(flat), "interval": interval(per_document)} if flat else {}

    answerable = lambda k: k != "unknown"
    opened = lambda k: k != "unknown" and not k.startswith("closed:")
    out: dict = {"documents": len(documents), "tokens": int(np.mean([len(t) for t, _ in documents])),
                 "tokens_per_second": round(sum(len(t) for t, _ in documents) / read_seconds)}
    for name, given in answers.items():
        out[name] = {"all": score(given, answerable), "names_and_numbers": score(given, opened)}
    flat = Counter(w for ws, ks in zip(wanted, kinds) for w, k in zip(ws, ks) if opened(k))
    out["commonest_answer"] = round(flat.most_common(1)[0][1] / max(1, sum(flat.values())), 4) if flat else 0
    by_kind = defaultdict(lambda: [0, 0])
    false_unknown = total = answered_anyway = unanswerable = 0
    for gs, ws, ks in zip(answers["memory"], wanted, kinds):
        for g, w, k in zip(gs, ws, ks):
            by_kind[k][0] += g == w
            by_kind[k][1] += 1
            if k == "unknown":
                unanswerable += 1
                answered_anyway += g != UNKNOWN
            else:
                total += 1
                false_unknown += g == UNKNOWN
    out["by_kind"] = {k: {"exact": round(a / n, 3), "n": n} for k, (a, n) in sorted(by_kind.items())}
    out["answered_anyway"] = round(answered_anyway / max(1, unanswerable), 4)
    out["false_unknown"] = round(false_unknown / max(1, total), 4)
    out["examples"] = [[q, a, g] for (_, qs), gs in list(zip(documents, answers["memory"]))[:3] for (_, q, a), g in list(zip(qs, gs))[:6]]
    return out


def cards(reader: Reader, books: Books, size: int, count: int, seed: int) -> dict:
    """Recall of the five most frequent people of a stretch, from memory, zeroed and swapped."""
    rng = random.Random(seed)
    spans = []
    while len(spans) < count:
        begin, end = books.range(rng, size)
        if len(books.card(begin, end)[0]) == 5:
            spans.append((begin, end))
    states = [reader.read(books.tokens[a:b]) for a, b in spans]
    prompt = books.tokenizer.encode(PROMPTS["summary"], add_special_tokens=False).ids
    out = {"documents": count}
    for name, used in {"memory": states, "zeroed": [zeroed(s) for s in states], "swapped": states[1:] + states[:1]}.items():
        given = [g[0] for g in reader.answer([[prompt]] * count, used, max_new=90)]
        recall = []
        for (a, b), text in zip(spans, given):
            line = next((x for x in text.split("\n") if x.startswith("People:")), "")
            people = [p.strip(" .") for p in line[7:].split(",")]
            recall.append(sum(p in people for p in books.card(a, b)[0]) / 5)
        out[name] = round(float(np.mean(recall)), 4)
        if name == "memory":
            out["examples"] = [[book_card(*books.card(a, b)), text] for (a, b), text in list(zip(spans, given))[:3]]
    return out


ROWS = ("facts-8", "passkey", "facts-64", "natural", "book-card people")
SHELVES = {"shelf-2": 2, "shelf-4": 4, "shelf-8": 8}  # facts-8 in each of so many books, asked of the sum of their memories


def belongs(row: str, size: str) -> bool:
    """Which cells there are: a million tokens hold more natural questions of one wording than can be told apart."""
    return {"facts-64": SIZES[size] <= 131072, "natural": SIZES[size] <= 131072, "book-card people": size in ("32K", "128K"),
            **{shelf: SIZES[size] <= 131072 for shelf in SHELVES}}.get(row, True)


def cell(reader: Reader, row: str, size: str, documents: int, seed: int) -> dict:
    started = time.time()
    if row == "book-card people":
        r = cards(reader, reader.books, SIZES[size], min(documents, 40), seed)
        print(row, size, {k: v for k, v in r.items() if k != "examples"}, r["examples"][0], flush=True)
        return r
    cases, T, depths = Cases(reader.books, seed), SIZES[size], (0.0, 0.5, 1.0)
    make = {"facts-8": lambda i: cases.facts(T, 8), "facts-64": lambda i: cases.facts(T, 64), "natural": lambda i: cases.natural(T),
            "passkey": lambda i: cases.passkey(T, depths[i % 3])}.get(row, lambda i: cases.facts(T, 8))
    count = max(30, documents // 2) // 3 * 3 if row == "passkey" else documents
    r = run_cell(reader, [make(i) for i in range(count)], knock_out=row != "passkey", books=SHELVES.get(row, 1))
    m = r["memory"]
    print(f"{row:12} {size:>5} exact {m['names_and_numbers'].get('exact')} {m['names_and_numbers'].get('interval')} all {m['all'].get('exact')} "
          f"zeroed {r.get('zeroed', {}).get('names_and_numbers', {}).get('exact')} swapped {r.get('swapped', {}).get('names_and_numbers', {}).get('exact')} "
          f"anyway {r['answered_anyway']} false-unknown {r['false_unknown']} ({r['tokens_per_second'] / 1e3:.0f}K tokens/s, {time.time() - started:.0f} s)", flush=True)
    return r


_reader: Reader | None = None


def _start(model: str, data: Path, tokenizer: str, devices) -> None:
    """A process of its own for each GPU, which it takes from the queue."""
    global _reader
    torch.backends.cuda.matmul.allow_tf32 = False
    books = Books(Tokenizer.from_file(str(Path(tokenizer) / "tokenizer.json")), data)
    _reader = Reader(load_model(model), books, torch.device(devices.get()))


def _cell(task: tuple) -> dict | list:
    if task[0] == "layers":
        return memory_norms(_reader.model, _reader.books, _reader.device)
    return cell(_reader, *task)


def evaluate(model: str, data: Path, tokenizer: str, devices: list[str], sizes: list[str], rows: list[str], documents: int, seed: int = 7) -> dict:
    """The table of all cells, spread over the devices, the longest first."""
    tasks = [(row, size, documents, seed) for size in sorted(sizes, key=SIZES.get, reverse=True) for row in rows if belongs(row, size)]
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    for d in devices:
        queue.put(d)
    if len(devices) == 1:
        _start(model, data, tokenizer, queue)
        results = [_cell(t) for t in tasks + [("layers",)]]
    else:
        with context.Pool(len(devices), _start, (model, data, tokenizer, queue)) as pool:
            results = pool.map(_cell, tasks + [("layers",)], chunksize=1)
    table: dict = {row: {} for row in rows}
    for (row, size, *_), result in sorted(zip(tasks, results), key=lambda x: SIZES[x[0][1]]):
        table[row][size] = result
    return {"model": Path(model).name, "seed": seed, "table": table, "layers": results[-1]}


def memory_norms(model: InfiniLlama, books: Books, device) -> list[dict]:
    """Per layer: the mean size of z per token, and the norm of the memory heads' output projection."""
    states = Reader(model, books, device).read(books.tokens[:65536])
    out = []
    for layer, state in zip(model.model.layers, states):
        a, row = layer.self_attn, {}
        if model.c.memory_gate:
            row["gates"] = [round(float(g), 3) for g in torch.sigmoid(a.memory_gate.detach())]
        if model.c.memory_heads:
            row["o_norm"] = round(float(a.memory_o_proj.weight.detach().norm()), 2)
        row["z_per_token"] = [[round(float(z.mean() / 65536), 4) for z in s.z[0]] for s in state]
        row["M_norm"] = [[round(float(M.norm()), 1) for M in s.M[0]] for s in state]
        out.append(row)
    return out


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--model", required=True)
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--out", type=Path)
    p.add_argument("--sizes", nargs="*", default=["8K", "128K"], choices=list(SIZES))
    p.add_argument("--rows", nargs="*", default=list(ROWS), choices=(*ROWS, *SHELVES))
    p.add_argument("--documents", type=int, default=50)
    p.add_argument("--device", help="cpu, cuda:1, ...; all GPUs if not given")
    a = p.parse_args()
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    table = evaluate(a.model, a.data, a.tokenizer, [a.device] if a.device else gpus or ["cpu"], a.sizes, a.rows, a.documents)
    for layer in table["layers"]:
        print(layer)
    if a.out:
        a.out.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
