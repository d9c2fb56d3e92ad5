"""What a conversion costs: peak memory, tokens/s and GPU-hours, on a base of random weights made on the GPU itself.

    python training/measure_convert.py --random-init 8b                                        one GPU, four minutes at most
    torchrun --standalone --nproc-per-node 2 training/measure_convert.py --random-init 8b      what a second one brings

Needs nothing but the repository: the prose is the bundled book's, the tokenizer the shipped model's (its 8192 tokens are the
first of the model's vocabulary; what a token is does not change what it costs). Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from tokenizers import Tokenizer

sys.path.insert(0, str(Path(__file__).resolve().parent))

from make_tiny_model import book_paragraphs  # noqa: E402
from palimpsest_training.convert import DTYPES, SHIPPED  # noqa: E402
from palimpsest_training.head_batches import HeadBatches, Vocabulary  # noqa: E402
from palimpsest_training.books import Books  # noqa: E402
from palimpsest_training.head_training import Trainer, build, parallel_kind  # noqa: E402
from palimpsest_training.llama_folder import SHAPES, bos_of, eos_of, new_heads, random_weights  # noqa: E402
from palimpsest_training.prepare import prepare  # noqa: E402
from palimpsest_training.ranks import Ranks  # noqa: E402
from palimpsest_training.streams import Streams  # noqa: E402
from palimpsest_training.train import to_device  # noqa: E402


def bundled_prose(tokenizer: Path, copies: int) -> Books:
    """The bundled book, again and again until the longest documents can be filled."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"copy_{i}.txt" for i in range(copies)]
        for file in files:
            file.write_text("\n\n".join(book_paragraphs()), encoding="utf-8")
        prepare(files, tokenizer / "tokenizer.json", Path(folder) / "books.npz", None, min(copies, os.cpu_count() or 1))
        return Books(Tokenizer.from_file(str(tokenizer / "tokenizer.json")), Path(folder) / "books.npz")


def measure(trainer: Trainer, maker: HeadBatches, stage: str, seconds: float, most_steps: int, ranks: Ranks) -> dict:
    """Steps of one stage until `seconds` have gone by; the first, which allocates, does not count."""
    device, cuda = trainer.device, trainer.device.type == "cuda"
    finish = (lambda: torch.cuda.synchronize(device)) if cuda else (lambda: None)
    batches = [maker.batch(i, 0.0, [stage])[1] for i in range(3)]
    shape = maker.stages[stage]
    streams = Streams(len(batches[0]["segments"]), shape.segments, 2_000_000 // shape.segment_length, 1, unknown=maker.refusal()) if shape.stream else None
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    steps, tokens, questions, losses, began, go_on = 0, 0, 0, [], time.time(), True
    while go_on:
        batch = batches[steps % len(batches)]
        batch = streams.go_on(batch) if streams else batch
        losses.append(trainer.step(to_device(batch, device), streams)[1])
        finish()
        if steps == 0:
            began = time.time()
        else:
            tokens, questions = tokens + batch["segments"].size, questions + batch["questions"].size
        steps += 1
        go_on = ranks.agree(float(steps < 2 or (time.time() - began < seconds and steps < most_steps)), device) > 0
    took = time.time() - began
    return {"stage": stage, "segment_length": shape.segment_length, "segments": shape.segments, "documents_per_rank": len(batches[0]["segments"]),
            "steps": steps - 1, "seconds_per_step": round(took / (steps - 1), 3), "tokens_per_second": round(tokens * ranks.count / took),
            "with_question_tokens_per_second": round((tokens + questions) * ranks.count / took), "finite": bool(torch.isfinite(torch.tensor(losses)).all()),
            "peak_gib": round(torch.cuda.max_memory_allocated(device) / 2**30, 2) if cuda else None,
            "reserved_gib": round(torch.cuda.max_memory_reserved(device) / 2**30, 2) if cuda else None}


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--random-init", choices=list(SHAPES), default="8b", help="shape of the base")
    p.add_argument("--settings", nargs="*", default=["dense:16384", "8k:32768", "stream:32768", "64k:65536"], help="STAGE:TOKENS of a step and rank")
    p.add_argument("--seconds", type=float, default=20, help="of each setting")
    p.add_argument("--steps", type=int, default=15, help="of each setting, at most")
    p.add_argument("--memory-heads", type=int, default=8)
    p.add_argument("--memory-head-dim", type=int, default=128)
    p.add_argument("--segment-length", type=int, default=256)
    p.add_argument("--parallel", choices=["auto", "ddp", "fsdp"], default="auto")
    p.add_argument("--dtype", choices=list(DTYPES), default="bfloat16")
    p.add_argument("--no-checkpointing", action="store_true")
    p.add_argument("--compile", action="store_true")
    p.add_argument("--total-tokens", type=float, default=1e9, help="of the conversion whose GPU-hours are told")
    p.add_argument("--out", type=Path)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return p


def main() -> None:
    a, ranks = parser().parse_args(), Ranks()
    device, dtype, started = ranks.device(a.device), DTYPES[a.dtype], time.time()
    tokenizer = Tokenizer.from_file(str(SHIPPED / "tokenizer.json"))
    books = bundled_prose(SHIPPED, 4)
    vocabulary = Vocabulary(tokenizer, bos_of(tokenizer), eos_of(SHIPPED, tokenizer))
    ranks.begin(device)
    torch.backends.cuda.matmul.allow_tf32 = True
    config = replace(SHAPES[a.random_init], memory_heads=a.memory_heads, memory_kv_heads=a.memory_heads, memory_head_dim=a.memory_head_dim,
                     segment_length=a.segment_length)
    parallel = parallel_kind(a.parallel, config, dtype, ranks, device)
    model = build(config, random_weights(1, device, dtype), new_heads(1), dtype, device, parallel, not a.no_checkpointing)
    if a.compile:
        model.compile_blocks()
    trainer = Trainer(model, dtype, device, parallel, 0.02, 0.25, 1.0)
    report = {"base": f"random weights, shape {a.random_init}", "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
              "gpus": ranks.count, "parallel": parallel, "dtype": a.dtype, "checkpointing": not a.no_checkpointing, "compiled": a.compile,
              "torch": torch.__version__, "frozen_parameters": sum(p.numel() for n, p in model.named_parameters() if ".memory_" not in n),
              "trained_parameters": sum(p.numel() for p in trainer.parameters), "seconds_to_build": round(time.time() - started, 1), "settings": []}
    for setting in a.settings:
        stage, tokens = setting.split(":")
        maker = HeadBatches(books, vocabulary, a.segment_length, 1, ranks.rank, int(tokens))
        if stage not in maker.stages:
            sys.exit(f"measure_convert: {setting}: the documents of stage {stage} are longer; stages that fit: {', '.join(maker.stages)}")
        entry = {"tokens_per_step_and_rank": int(tokens)}
        try:
            entry |= measure(trainer, maker, stage, a.seconds, a.steps, ranks)
            entry["gpu_hours"] = round(a.total_tokens / entry["tokens_per_second"] * ranks.count / 3600, 2)
        except torch.OutOfMemoryError as error:
            if ranks.count > 1:  # the other ranks wait for this one
                raise
            entry |= {"stage": stage, "out_of_memory": str(error).split(". ")[0]}
            trainer.optimizer.zero_grad(set_to_none=True)
        report["settings"].append(entry)
        if ranks.first:
            print(json.dumps(entry), file=sys.stderr, flush=True)
        if device.type == "cuda":
            torch.cuda.empty_cache()
    report |= {"total_tokens": a.total_tokens, "seconds": round(time.time() - started, 1)}
    if ranks.first:
        print(json.dumps(report, indent=1))
        if a.out:
            a.out.write_text(json.dumps(report, indent=1) + "\n")
    ranks.end()


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
