"""Which layers remember: what a fact adds to what its question reads, and what is lost with another text's memory in one layer.

    python training/measure_layers.py --model FOLDER --data heldout.npz --tokens 8K --documents 8 --out layers.json

Facts as in row facts-8, one memory, greedily answered. Per layer and memory head, at the question's tokens:
  fact    |A - A'| / |A|: A' is the read of a memory without what the fact's segment wrote; the largest of the prompt's tokens
  mean    |A - m| / |A|: m is what a query gets that all keys answer alike; the same largest
  told, prose    |sigma(K)| |V| of the tokens of a fact and of other prose, a token on average
and per layer, and for all layers below or from it on: names and numbers right when M and z there are another document's.
The rows of the first four are those of the layers that have memory heads ("layers").
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from palimpsest_training import cases
from palimpsest_training.books import Books
from palimpsest_training.model import read_memory, scaled_read, segment_writes, sigma
from palimpsest_training.reader import Reader, reader_of, subtracted


class Reads:
    """What the layers' memory heads read and write while it is in use, one entry a call."""

    def __init__(self, model):
        self.model, self.reads, self.writes = model, [], []

    def __enter__(self) -> "Reads":
        def read(q, M, z, eps, dtype=torch.float32) -> Tensor:
            self.reads.append((read_memory(q, M, z, eps), M, z))
            return self.reads[-1][0].to(dtype)

        def scaled(q, M, z, eps, power, size, dtype=torch.float32) -> Tensor:
            self.reads.append((read_memory(q, M, z, eps), M, z))
            return scaled_read(q, M, z, eps, power, size, dtype)

        def write(k, v, mask):
            self.writes.append(sigma(k).norm(dim=-1) * v.float().norm(dim=-1))  # [B, N, L, G]
            return segment_writes(k, v, mask)

        self.model.read_memory, self.model.scaled_read, self.model.segment_writes = read, scaled, write
        return self

    def __exit__(self, *_) -> None:
        self.model.read_memory, self.model.scaled_read, self.model.segment_writes = read_memory, scaled_read, segment_writes


def rms(x: Tensor) -> Tensor:
    return x.pow(2).mean(-1).sqrt()


def told_by(reader: Reader, segments: list, answer: str) -> list[int]:
    return [n for n, tokens in enumerate(segments) if answer in reader.tokenizer.decode([int(t) for t in tokens])]


@torch.no_grad()
def shares(reader: Reader, segments: list, states, asked: list[cases.Asked]) -> list[tuple[Tensor, Tensor]]:
    """Of each question whose answer stands in one segment: (fact, mean) of every layer with memory heads, [layers, heads]."""
    out, model = [], reader.model
    for a in asked:
        found = told_by(reader, segments, a.answer)
        if a.kind == "unknown" or not a.is_open or len(found) != 1:
            continue
        before = reader.read(segments[: found[0]]) if found[0] else None
        after = reader.read([segments[found[0]]], before)
        without = subtracted(states, subtracted(after, before) if before else after)
        ids, length = reader.batch_of([[reader.tokenizer.encode(a.prompt, add_special_tokens=False).ids]])
        with Reads(model) as whole:
            model.read_and_ask(None, None, ids, torch.zeros_like(length), states=states)
        with Reads(model) as less:
            model.read_and_ask(None, None, ids, torch.zeros_like(length), states=without)
        layers = []
        for (x, M, z), (y, _, _) in zip(whole.reads, less.reads):
            mean = (M.sum(-2) / z.sum(-1, keepdim=True)).repeat_interleave(x.shape[-2] // M.shape[-3], -2)  # [..., H, dv]
            layers.append([(rms(x - other) / rms(x)).flatten(0, -2).amax(0) for other in (y, mean.unsqueeze(-3))])
        out.append(tuple(torch.stack([layer[i] for layer in layers]) for i in (0, 1)))
    return out


@torch.no_grad()
def written(reader: Reader, segments: list, asked: list[cases.Asked]) -> tuple[Tensor, Tensor]:
    """|sigma(K)| |V| a token, [layers with memory heads, heads]: of the tokens of answers, and of all segments."""
    tokens = [[int(t) for t in s] for s in segments]
    chosen = [torch.zeros(len(t), dtype=torch.bool) for t in tokens]
    for a in asked:
        ids = reader.tokenizer.encode(" " + a.answer, add_special_tokens=False).ids
        for n, t in enumerate(tokens):
            for at in range(len(t) - len(ids) + 1):
                if t[at : at + len(ids)] == ids:
                    chosen[n][at : at + len(ids)] = True
    with Reads(reader.model) as seen:
        reader.read(segments)
    layers = []
    for w in seen.writes:  # [1, N, L, G], BOS first
        parts = [w[0, n, reader.lead : reader.lead + len(t)] for n, t in enumerate(tokens)]
        layers.append((torch.cat([p[c] for p, c in zip(parts, chosen)]).mean(0), torch.cat(parts).mean(0)))
    return torch.stack([t for t, _ in layers]), torch.stack([p for _, p in layers])


def right(reader: Reader, documents: list, states: list) -> float:
    """Share of names and numbers, each document asked of its own states."""
    encode = lambda a: reader.tokenizer.encode(a.prompt, add_special_tokens=False).ids
    given = reader.answer([[encode(a) for a in asked] for asked in documents], states)
    hits = [g == a.answer for gs, asked in zip(given, documents) for g, a in zip(gs, asked) if a.is_open]
    return sum(hits) / max(1, len(hits))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--model", required=True)
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--tokens", default="8K", choices=list(cases.SIZES))
    p.add_argument("--documents", type=int, default=8)
    p.add_argument("--probed", type=int, default=2, help="documents whose facts are taken out of the memory one by one")
    p.add_argument("--out", type=Path)
    a = p.parse_args()
    tokenizer = Tokenizer.from_file(str(Path(a.model) / "tokenizer.json"))
    reader = reader_of(a.model, tokenizer, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    drawn = cases.draw(Books(tokenizer, a.data), "facts-8", a.tokens, a.documents, 5, {})
    segments, asked = [reader.segments(d.text) for d in drawn], [d.rows["facts-8"] for d in drawn]
    states = [reader.read(s) for s in segments]
    layers = len(states[0])
    probes = [x for s, st, q in list(zip(segments, states, asked))[: a.probed] for x in shares(reader, s, st, q)]
    writes = [written(reader, s, q) for s, q in list(zip(segments, asked))[: a.probed]]
    swapped = lambda chosen: right(reader, asked, [[other[l] if l in chosen else own[l] for l in range(layers)]
                                                   for own, other in zip(states, states[1:] + states[:1])])
    median = lambda i: torch.stack([x[i] for x in probes]).median(0).values.tolist()
    mean = lambda i: torch.stack([w[i] for w in writes]).mean(0).tolist()
    out = {"model": Path(a.model).name, "tokens": a.tokens, "documents": a.documents, "facts_probed": len(probes),
           "layers": [l for l, parts in enumerate(states[0]) if parts], "fact": median(0), "mean": median(1), "told": mean(0), "prose": mean(1),
           "right": right(reader, asked, states),
           "one_layer_swapped": [swapped({l}) for l in range(layers)],
           "swapped_below": [swapped(set(range(l))) for l in range(layers + 1)],
           "swapped_from": [swapped(set(range(l, layers))) for l in range(layers + 1)]}
    for key, value in out.items():
        print(key, [[round(x, 4) for x in v] if isinstance(v, list) else round(v, 3) for v in value] if isinstance(value, list) else value)
    if a.out:
        a.out.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
