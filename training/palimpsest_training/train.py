"""One training run: the plain model, its memory heads, or everything together. The recipe (recipe.sh) calls them in turn.

    python -m palimpsest_training.train --phase base   --data train.npz --tokenizer DIR --minutes 9 --out base.pt
    python -m palimpsest_training.train --phase memory --data train.npz --tokenizer DIR --minutes 12 --init base.pt --out memory.pt
    python -m palimpsest_training.train --phase all    ... --init memory.pt     (nothing frozen)

Phases:
  base    local attention only; questions inside the segment
  memory  memory heads are added; only they are trained, the base stays as it is bit for bit
  all     base and memory heads together; with --split-gates from scratch: base heads split into memory and local ones
A run is measured in minutes, not in steps: the curriculum and the learning rate follow the clock. Under torchrun every
rank takes --tokens a step, of documents of its own (ranks.py).
"""

from __future__ import annotations

import argparse
import collections
import functools
import json
import multiprocessing
import random
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from .babi import Stories
from .batches import BatchMaker
from .books import Books
from .config import ModelConfig
from .export import load_model
from .facts import UNKNOWN
from .losses import Losses
from .model import InfiniLlama, read_memory
from .optim import build_optimizers, set_rate
from .questions import EOS
from .ranks import Ranks
from .stages import STAGES, stage_at
from .streams import Crowds, Streams


def draw_stage(args: argparse.Namespace, progress: float, rng: random.Random) -> str | int:
    """A stage of the curriculum, or the length of a row of the base phase."""
    if args.phase == "base" or rng.random() < args.base_share:
        return rng.choices([512, 256, 1024, 2048], [0.45, 0.2, 0.2, 0.15])[0]
    due = args.curriculum_from + (1 - args.curriculum_from) * args.curriculum_pace * progress
    if named := args.opening if args.opening and progress < args.opening_share else args.stages:
        names, _, weights = zip(*(s.partition("=") for s in named))
        return rng.choices(names, [float(w or 1) for w in weights])[0]
    return stage_at(min(1.0, due), rng, stories=bool(args.babi))


class SameStage:
    """The batches of a queue in an order that all ranks draw alike: a step lasts as long as its slowest rank, and stages differ.

    The workers draw with the same weights, so that what waits for its turn stays little.
    """

    def __init__(self, queue, args: argparse.Namespace):
        self.queue, self.args, self.rng = queue, args, random.Random(args.seed)
        self.waiting: dict[str | int, collections.deque] = collections.defaultdict(collections.deque)

    def next(self, progress: float) -> tuple[str | int, dict]:
        name = draw_stage(self.args, progress, self.rng)
        while not self.waiting[name]:
            made, batch = self.queue.get()
            self.waiting[made].append(batch)
        return name, self.waiting[name].popleft()


def worker(books: Books, stories: Stories | None, args: argparse.Namespace, seed: int, progress, stop, queue) -> None:
    """Fills the queue with batches of the stages that are due at `progress`; a process of its own."""
    torch.set_num_threads(1)
    rng = random.Random(seed)
    maker = BatchMaker(books, seed, args.tokens, stories=stories, sectioned_share=args.sectioned_share)
    while not stop.is_set():
        name = draw_stage(args, progress.value, rng)
        queue.put((name, maker.base_batch(name) if isinstance(name, int) else maker.memory_batch(name)))


def to_device(batch: dict[str, np.ndarray], device) -> dict[str, Tensor]:
    move = lambda a: torch.from_numpy(a.astype(np.int32) if a.dtype == np.uint16 else a).to(device, non_blocking=True)
    out = {k: move(v) if isinstance(v, np.ndarray) else v for k, v in batch.items()}
    return {k: v.long() if isinstance(v, Tensor) and v.dtype == torch.int32 else v for k, v in out.items()}


def with_memory(config: ModelConfig, args) -> ModelConfig:
    """The memory heads that the arguments name. What they leave open stays as it is; a model without any gets 4 in every layer."""
    had, values = config.memory_heads, config.value_dim
    heads = args.memory_heads if args.memory_heads is not None else had or 4
    dim = args.memory_head_dim or config.memory_head_dim
    value_dim = args.memory_value_dim or (values if had else dim)
    layers = config.memory_layers if args.memory_layers is None else args.memory_layers
    for name, now, then in (("heads a layer", heads, had), ("dimensions of a key", dim, config.memory_head_dim), ("dimensions of a value", value_dim, values)):
        if had and now < then:
            raise ValueError(f"The checkpoint's memory has {then} {name}; they can become more, not {now}.")
    if had and dim % config.memory_head_dim:
        raise ValueError(f"Keys of {config.memory_head_dim} dimensions can become twice or three times as long, not {dim}.")
    if had and value_dim != values and config.memory_scaled:  # its size is that of all its values
        raise ValueError("The values of heads that scale what they read cannot become longer.")
    if (heads, dim, value_dim) == (had, config.memory_head_dim, values):
        return replace(config, memory_layers=layers)
    if had != config.memory_kv_heads:
        raise ValueError(f"The checkpoint's {had} memory heads share {config.memory_kv_heads} memory KV heads; "
                         "only heads with one each can become more or wider.")
    return replace(config, memory_heads=heads, memory_kv_heads=heads, memory_head_dim=dim, memory_value_dim=value_dim if value_dim != dim else 0,
                   memory_layers=layers)


def fitted_heads(weights: dict[str, Tensor], model: InfiniLlama, had: ModelConfig) -> dict[str, Tensor]:
    """The weights of a checkpoint of config `had` for `model`, which may have memory heads in fewer layers, more of them in a layer, and wider ones.

    What a layer had are its first heads; the others are the model's own new ones, whose output projection is zero: they
    change nothing until they have learned something. A wider key is the old one over and over, each time a little different:
    sigma(q) sigma(k) and sigma(q) z grow alike, and A_mem stays nearly what it was. The heads of a layer that has none any
    more are left out.
    """
    new, out, c = model.state_dict(), {}, model.c
    for name, w in weights.items():
        if ".memory_" in name and not name.endswith("memory_gate"):
            if name not in new:
                continue
            if w.shape != new[name].shape and name.endswith(("_q_proj.weight", "_k_proj.weight")):
                w = _grown_keys(w, new[name].clone(), had.memory_head_dim, c.memory_head_dim)
            elif w.shape != new[name].shape:
                w = _grown(w, new[name].clone(), had.value_dim, c.value_dim)
        out[name] = w
    return out


def _grown(w: Tensor, into: Tensor, old: int, new: int) -> Tensor:
    """v [heads d, D], o [D, heads d], or a number for each head: the old ones' entries first, of each head and of all."""
    if w.dim() == 1:
        into[: len(w)] = w
    elif w.shape[0] != into.shape[0]:
        into.view(-1, new, w.shape[1])[: len(w) // old, :old] = w.view(-1, old, w.shape[1])
    else:
        into.view(len(w), -1, new)[:, : w.shape[1] // old, :old] = w.view(len(w), -1, old)
    return into


NOISE = 0.5  # of each repetition of a key, relative to its weights' own size


def _grown_keys(w: Tensor, into: Tensor, old: int, new: int) -> Tensor:
    """q or k [heads d, D]; `new` is a multiple of `old`."""
    heads = w.view(-1, old, w.shape[1])
    size = heads.pow(2).mean((1, 2), keepdim=True).sqrt()
    again = torch.cat([heads if not i else heads + NOISE * size * torch.randn_like(heads) for i in range(new // old)], 1)
    into.view(-1, new, w.shape[1])[: len(heads)] = again
    return into


@torch.no_grad()
def measure_sizes(model: InfiniLlama, books: Books, segments: int = 64) -> None:
    """Sets memory_size to the root mean square of what each memory head reads in a text, on average."""
    sizes: list[Tensor] = []

    def read(q, M, z, eps, power, size, dtype) -> Tensor:
        out = read_memory(q, M, z, eps)
        sizes.append(out[:, segments // 4 :].pow(2).mean((0, 1, 2, 4)).sqrt())
        return out

    scaled, model.scaled_read, S = model.scaled_read, read, model.c.segment_length
    tokens = torch.from_numpy(books.tokens[: segments * S].astype(np.int64)).view(1, -1, S)
    model.read_and_ask(tokens, torch.ones_like(tokens, dtype=torch.bool))
    model.scaled_read = scaled
    for a, size in zip((layer.self_attn for layer in model.model.layers if hasattr(layer.self_attn, "memory_size")), sizes):
        a.memory_size.copy_(size)


def build_model(args, device, books: Books | None = None) -> InfiniLlama:
    if args.init:
        begun = load_model(args.init)
        config, weights = begun.c, begun.state_dict()
    else:
        config, weights = ModelConfig(**json.loads(args.config or "{}")), None
        config.memory_heads = config.memory_kv_heads = 0
    if args.split_gates:
        config.memory_gate = True
    if args.update:
        config.memory_update, config.sections = args.update, 1 if args.update == "delta" else config.sections
    if args.phase != "base" and not args.split_gates:
        config = with_memory(config, args)
    newly_scaled = args.scaled_reads and not config.memory_scaled
    config.memory_scaled |= args.scaled_reads
    torch.manual_seed(args.seed)
    model = InfiniLlama(config)
    if weights:
        missing, unexpected = model.load_state_dict(fitted_heads({k: v.float() for k, v in weights.items()}, model, begun.c), strict=False)
        assert not unexpected and all("memory_" in m for m in missing), (missing, unexpected)
    if newly_scaled:
        measure_sizes(model, books)
    for name, p in model.named_parameters():
        p.requires_grad_(args.phase != "memory" or "memory_" in name)
    return model.to(device)


def save(model: InfiniLlama, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    half_written = out.with_name(out.name + ".part")
    torch.save({"config": asdict(model.c), "weights": {k: v.detach().cpu() for k, v in model.state_dict().items()}}, half_written)
    half_written.replace(out)


def train(args) -> None:
    ranks = Ranks()
    train_together(args, ranks)
    ranks.end()


def train_together(args, ranks: Ranks) -> None:
    device = ranks.device(args.device)
    tokenizer = Tokenizer.from_file(str(Path(args.tokenizer) / "tokenizer.json"))
    books = Books(tokenizer, *args.data)  # before the fork: the workers share its pages
    try:
        stories = Stories(args.babi, {task: float(w) for task, _, w in (s.partition("=") for s in args.story_weights)}) if args.babi else None
    except ValueError as error:
        raise SystemExit(f"train: {error}") from error
    if not stories and any(STAGES[s.partition("=")[0]].stories for s in (*(args.stages or ()), *(args.opening or ()))):
        raise SystemExit("train: a stage of stories needs --babi")
    if args.story_weights and not stories:
        raise SystemExit("train: --story-weights needs --babi")
    context = multiprocessing.get_context("fork")
    progress, stop, queue = context.Value("d", 0.0), context.Event(), context.Queue(maxsize=2 * args.workers)
    seed = args.seed * 100 + ranks.rank
    pool = [context.Process(target=worker, daemon=True, args=(books, stories, args, seed * 1000 + i, progress, stop, queue)) for i in range(args.workers)]
    for p in pool:
        p.start()
    ranks.begin(device)
    try:
        model = build_model(args, device, books)
    except ValueError as error:
        raise SystemExit(f"train: {error}") from error
    if args.compile:
        if args.compile_cache and args.compile_cache.exists():
            torch.compiler.load_cache_artifacts(args.compile_cache.read_bytes())
        model.compile_blocks()
    optimizers = build_optimizers(model, args.muon_lr, args.adam_lr)
    trainable = [p for p in model.parameters() if p.requires_grad]
    unknown = tokenizer.encode(" " + UNKNOWN, add_special_tokens=False).ids
    plain = Losses(model, args.compile, args.lm_share, unknown[0], args.contest_weight)
    losses = ranks.together(plain)
    say = functools.partial(print, flush=True) if ranks.first else lambda text: None
    say(f"{ranks.count} ranks, {sum(p.numel() for p in model.parameters()):,} parameters, {sum(p.numel() for p in trainable):,} trained")

    started, tokens, step, last = time.time(), 0, 0, time.time()
    saved = started
    seconds = args.minutes * 60
    averages: dict[str, list[float]] = {}
    streams: Streams | None = None
    # Only memories that add are asked as sections.
    refusal = unknown + [EOS] if model.c.memory_update == "linear" else None
    crowds = Crowds(max(1, args.crowd_tokens // args.tokens), seed)
    rng = random.Random(seed)
    ordered = SameStage(queue, args) if ranks.count > 1 else None
    profiler, waited = None, 0.0
    while progress.value < 1 and (not args.steps or step < args.steps):
        if args.profile_at and step == args.profile_at and ranks.count == 1:
            profiler = torch.profiler.profile()
            profiler.start()
        elif profiler and step == args.profile_at + 8:
            profiler.stop()
            order = "device_time_total" if device.type == "cuda" else "cpu_time_total"
            say(profiler.key_averages().table(sort_by="self_" + order, row_limit=30, max_name_column_width=60))
            profiler = None
        asked = time.time()
        name, batch = ordered.next(progress.value) if ordered else queue.get()
        waited += time.time() - asked
        stage = STAGES.get(name)
        streaming = stage is not None and stage.stream
        if streaming:
            streams = streams or Streams(len(batch["segments"]), stage.segments, args.longest // stage.segment_length, seed, unknown=refusal)
            batch = streams.go_on(batch)
        crowded = not streaming and len(batch.get("again", ())) > 1 and batch["again"].any() and rng.random() < args.crowd_share
        # M and z are fp32. What is multiplied for them keeps ten bits in short texts (tf32), more than the bf16 of everything
        # else; what a sentence left in the memory of a long one is smaller than that.
        torch.backends.cuda.matmul.allow_tf32 = not streaming and batch["segments"].shape[1] < 128
        batch = to_device(batch, device)
        set_rate(optimizers, progress.value, decay=args.decay)
        with torch.autocast(device.type, torch.bfloat16):
            lm, answer = losses(batch, streams if streaming else None, crowds if crowded else None)
            loss = args.lm_weight * lm + answer
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        if torch.isfinite(norm):
            for o in optimizers:
                o.step()
        for o in optimizers:
            o.zero_grad(set_to_none=True)
        step += 1
        tokens += batch["segments"].numel() * ranks.count
        if step % 10 == 0:
            averages.setdefault(f"{name} in a crowd" if crowded else str(name), []).append(float(answer.detach()))
            averages.setdefault("lm", []).append(float(lm.detach()))
            if plain.last_contest is not None:
                averages.setdefault("contest", []).append(float(plain.last_contest))
        progress.value = ranks.agree(min(1.0, (time.time() - started) / seconds), device) if not args.steps else step / args.steps
        if time.time() - last > args.log_seconds:
            last = time.time()
            recent = {k: round(sum(v[-5:]) / len(v[-5:]), 3) for k, v in averages.items()}
            say(f"{progress.value:6.1%} step {step} {tokens / (last - started) / 1e3:.0f}K tokens/s, {waited:.0f} s waited for batches, "
                f"grad {float(norm):.2f} {recent}")
        if args.save_minutes and ranks.first and time.time() - saved > 60 * args.save_minutes:
            saved = time.time()
            save(model, Path(args.out))
    stop.set()
    if ranks.first:
        save(model, Path(args.out))
        if args.compile and args.compile_cache and (made := torch.compiler.save_cache_artifacts()):
            args.compile_cache.write_bytes(made[0])
    say(f"{step} steps, {tokens:,} tokens, {time.time() - started:.0f} s -> {args.out}")
    for p in pool:
        p.kill()


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--phase", choices=["base", "memory", "all"], required=True)
    p.add_argument("--data", type=Path, nargs="+", required=True, help="packed books (prepare.py), in one part or several")
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--babi", type=Path, nargs="*", default=[], metavar="FILE.jsonl", help="bAbI stories (babi.py), for stage babi")
    p.add_argument("--story-weights", nargs="*", default=[], metavar="TASK=WEIGHT", help="draw the stories of a task more or less often: qa4=9")
    p.add_argument("--init", help="a checkpoint (.pt) or an exported folder to go on from")
    p.add_argument("--out", required=True)
    p.add_argument("--config", help="JSON of ModelConfig fields")
    p.add_argument("--minutes", type=float, default=1)
    p.add_argument("--steps", type=int, default=0, help="instead of minutes")
    p.add_argument("--tokens", type=int, default=65536, help="per step and rank")
    p.add_argument("--split-gates", action="store_true")
    p.add_argument("--memory-heads", type=int, help="per layer; the checkpoint's, or 4, if not given. More than it has: new ones are added")
    p.add_argument("--memory-head-dim", type=int, help="of queries and keys; the checkpoint's, or 64, if not given. More than it has: they are widened")
    p.add_argument("--memory-value-dim", type=int, help="of values; the checkpoint's, or as many as of keys, if not given")
    p.add_argument("--memory-layers", type=int, nargs="+", metavar="LAYER",
                   help="the layers that have memory heads, from 0 on; those of other layers are dropped (the checkpoint's, or all, if not given)")
    p.add_argument("--scaled-reads", action="store_true", help="memory heads scale what they read by a learned power of its size")
    p.add_argument("--update", choices=["linear", "delta"], help="another rule than the checkpoint's")
    p.add_argument("--stages", nargs="*", help="draw these stages only; NAME or NAME=WEIGHT")
    p.add_argument("--opening", nargs="*", help="as --stages, while the run begins: what the model lacks most")
    p.add_argument("--opening-share", type=float, default=0.0, help="of the run")
    p.add_argument("--curriculum-from", type=float, default=0.0, help="begin the curriculum at this share of it")
    p.add_argument("--curriculum-pace", type=float, default=1.0, help="above 1: through the curriculum sooner, then its last mixture")
    p.add_argument("--longest", type=int, default=2_000_000, help="tokens that the longest stream grows to")
    p.add_argument("--crowd-share", type=float, default=0.0, help="share of memory steps whose questions read all documents of the batch at once")
    p.add_argument("--crowd-tokens", type=int, default=2_000_000, help="tokens of earlier batches that may stand around them")
    p.add_argument("--base-share", type=float, default=0.0, help="share of steps of phase all that ask inside the segment")
    p.add_argument("--lm-share", type=float, default=0.25)
    p.add_argument("--lm-weight", type=float, default=1.0)
    p.add_argument("--contest-weight", type=float, default=0.0, help="of choosing the document that a question is to be answered of")
    p.add_argument("--sectioned-share", type=float, default=0.0, help="of the batches: asked of sections of documents that are read as a whole")
    p.add_argument("--muon-lr", type=float, default=0.02)
    p.add_argument("--adam-lr", type=float, default=3e-3)
    p.add_argument("--decay", type=float, default=0.45, help="share of the run over which the rates fall, at its end")
    p.add_argument("--workers", type=int, default=14)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--compile", action="store_true")
    p.add_argument("--compile-cache", type=Path, metavar="FILE",
                   help="what torch.compile made, kept for the next run on such a device with such a torch: compiling takes minutes")
    p.add_argument("--profile-at", type=int, default=0, help="print where the time of eight steps goes, from this step on (one rank only)")
    p.add_argument("--save-minutes", type=float, default=0, help="save the weights so often while the run goes on")
    p.add_argument("--log-seconds", type=float, default=15)
    return p


if __name__ == "__main__":
    p = parser()
    args = p.parse_args()
    if bool(args.opening) != bool(args.opening_share):
        p.error("--opening and --opening-share go together")
    train(args)
