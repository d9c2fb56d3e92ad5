"""Gives any Llama a memory: trains memory heads on a frozen base, and writes a folder that the engine loads.

    torchrun --standalone --nproc-per-node 2 -m palimpsest_training.convert --base FOLDER --data BOOKS --out FOLDER --minutes 600
    ... --resume        goes on from the newest checkpoint in --out

BOOKS: folders of .txt books in English, or files that palimpsest_training.prepare has packed. One book in twelve, by the
hash of its name, is held out for the evaluation during the run. docs/convert.md has the whole story.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from . import llama_folder
from .config import PROMPTS, ModelConfig
from .evaluate import run_cell
from .head_batches import Feed, HeadBatches, Vocabulary, evaluation_documents, open_books, scaled_stages
from .head_checkpoints import Checkpoints
from .head_training import Trainer, build, parallel_kind
from .llama_folder import FolderError
from .optim import set_rate
from .ranks import Ranks
from .reader import Reader
from .streams import Streams
from .train import to_device

SHIPPED = Path(__file__).resolve().parents[2] / "resources" / "models" / "palimpsest-mini"
SHORT_TEXT = "It was a dark and stormy night; the rain fell in torrents, and nobody was abroad."
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def with_heads(base: ModelConfig, args: argparse.Namespace) -> ModelConfig:
    """The base's numbers and those of its memory heads. Raises FolderError when they do not fit."""
    kv = args.memory_kv_heads or args.memory_heads
    dim = args.memory_head_dim or base.head_dim
    if args.memory_heads < 1 or args.memory_heads % kv:
        raise FolderError(f"{args.memory_heads} memory heads cannot share {kv} memory KV heads.")
    if not 8 <= args.segment_length < base.max_position_embeddings:
        raise FolderError(f"--segment-length {args.segment_length} must be at least 8 and below the model's {base.max_position_embeddings} positions.")
    try:
        return replace(base, memory_heads=args.memory_heads, memory_kv_heads=kv, memory_head_dim=dim, memory_value_dim=args.memory_value_dim or 0,
                       memory_layers=args.memory_layers, segment_length=args.segment_length)
    except ValueError as error:
        raise FolderError(str(error)) from None


def write_folder(base: Path, out: Path, config: ModelConfig, heads: dict[str, torch.Tensor], copy: bool) -> None:
    """The base's files (weights as links, unless `copy`), its config with "infini_attention", and the heads in bf16.

    A chat template is left out: the heads know the prompts of the config, and the engine would ask through the template.
    """
    out.mkdir(parents=True, exist_ok=True)
    for file in sorted(base.iterdir()):
        name = file.name
        if name in ("config.json", "tokenizer_config.json", "chat_template.jinja") or not file.is_file():
            continue
        weights = name.endswith(".safetensors")
        if not weights and file.suffix not in (".json", ".model", ".txt", ".md"):
            continue
        target = out / name
        if target.exists() or target.is_symlink():
            continue
        if not weights or copy:
            shutil.copyfile(file, target)
        else:
            link(file.resolve(), target)
    data = llama_folder.read_json(base / "config.json")
    data["infini_attention"] = config.to_json(base.name)["infini_attention"] | {"prompts": PROMPTS}
    write_json(out / "config.json", data)
    if (base / "tokenizer_config.json").exists():
        settings = llama_folder.read_json(base / "tokenizer_config.json")
        settings.pop("chat_template", None)
        write_json(out / "tokenizer_config.json", settings)
    half = out / (llama_folder.HEADS_FILE + ".part")
    save_file({n: w.to(torch.bfloat16).contiguous() for n, w in heads.items()}, half, metadata={"format": "pt"})
    half.replace(out / llama_folder.HEADS_FILE)


def link(file: Path, target: Path) -> None:
    try:
        os.link(file, target)
    except OSError:  # another file system
        target.symlink_to(file)


def write_json(file: Path, value: dict) -> None:
    file.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@dataclass
class Progress:
    """How far the run is: by steps, or by the clock of all its parts together."""

    steps: int
    limit: float  # seconds; used without steps
    step: int = 0
    seconds: float = 0.0  # of earlier parts of the run and this one
    tokens: int = 0  # read by all ranks

    @property
    def share(self) -> float:
        return min(1.0, self.step / self.steps if self.steps else self.seconds / self.limit)

    def left(self) -> str:
        if not self.share:
            return "?"
        rest = self.seconds * (1 - self.share) / self.share if self.steps else self.limit - self.seconds
        return f"{int(rest) // 3600}:{int(rest) // 60 % 60:02}:{int(rest) % 60:02}"


class Evaluation:
    """Recall of held-out facts from memory alone, and whether the base is what it was. All ranks run it together."""

    def __init__(self, trainer: Trainer, vocabulary: Vocabulary, documents: list):
        self.trainer, self.documents = trainer, documents
        self.reader = Reader(trainer.model, vocabulary.tokenizer, trainer.device, bos=vocabulary.bos, eos=vocabulary.eos, autocast=trainer.autocast)
        opening = [] if vocabulary.bos is None else [vocabulary.bos]
        self.short = torch.tensor(opening + vocabulary.encode(SHORT_TEXT))
        self.before = trainer.short_logits(self.short, remembers=False)  # the base alone, before anything is learned

    def run(self) -> dict:
        after = self.trainer.short_logits(self.short, remembers=True)
        result = {"base_bit_identical": torch.equal(self.before, after), "base_difference": float((self.before - after).abs().max())}
        if self.documents:
            self.reader.model.eval()
            cell = run_cell(self.reader, self.documents, sections=1)
            exact = lambda name: cell.get(name, {}).get("names_and_numbers", {}).get("exact")
            result |= {"tokens": cell["tokens"], "exact": exact("memory"), "zeroed": exact("zeroed"), "swapped": exact("swapped"),
                       "answered_anyway": cell["answered_anyway"], "false_unknown": cell["false_unknown"]}
        return result


class Run:
    """One conversion, from where its newest checkpoint stands (--resume) or from its beginning."""

    def __init__(self, args: argparse.Namespace):
        self.args, self.ranks = args, Ranks()
        self.say = functools.partial(print, flush=True) if self.ranks.first else lambda text: None
        self.device, self.dtype = self.ranks.device(args.device), DTYPES[args.dtype]
        base = llama_folder.read_config(args.base)
        self.config = with_heads(base, args)
        files = llama_folder.checked_files(args.base, base)
        tokenizer = llama_folder.tokenizer_of(args.base, base)
        self.vocabulary = Vocabulary(tokenizer, llama_folder.bos_of(tokenizer), llama_folder.eos_of(args.base, tokenizer))
        self.checkpoints = Checkpoints(args.out / "checkpoints", self.ranks, self._settings())
        begun = self._begun()
        self.progress = Progress(args.steps, args.minutes * 60)
        if begun:
            self.progress.step, self.progress.seconds, self.progress.tokens = (begun[1][k] for k in ("step", "seconds", "tokens"))
        self._open_data()
        self.ranks.begin(self.device)
        torch.backends.cuda.matmul.allow_tf32 = True  # for products with M and z, as in train.py
        parallel = parallel_kind(args.parallel, self.config, self.dtype, self.ranks, self.device)
        model = build(self.config, llama_folder.base_weights(files, self.device), llama_folder.new_heads(args.seed), self.dtype, self.device,
                      parallel, not args.no_checkpointing)
        if args.compile:
            model.compile_blocks()
        self.trainer = Trainer(model, self.dtype, self.device, parallel, args.muon_lr, args.lm_share, args.lm_weight)
        self.evaluation = Evaluation(self.trainer, self.vocabulary, self.documents)
        self.streams = self.checkpoints.load(self.trainer, *begun) if begun else None
        trained = sum(p.numel() for p in self.trainer.parameters)
        self.say(f"{self.ranks.count} ranks ({parallel}), {sum(p.numel() for p in model.parameters()) - trained:,} parameters frozen, "
                 f"{trained:,} trained{f', going on from step {self.progress.step}' if begun else ''}")

    def _settings(self) -> dict:
        a, c = self.args, self.config
        return {"base": llama_folder.read_json(a.base / "config.json"), "memory_heads": c.memory_heads, "memory_kv_heads": c.memory_kv_heads,
                "memory_head_dim": c.memory_head_dim, "memory_value_dim": c.value_dim, "memory_layers": c.memory_layers,
                "segment_length": c.segment_length, "seed": a.seed, "tokens": a.tokens, "dtype": a.dtype}

    def _begun(self) -> tuple[Path, dict] | None:
        if self.args.out.resolve() == self.args.base.resolve():
            raise FolderError("--out must be another folder than --base.")
        if self.args.resume:
            begun = self.checkpoints.latest()
            if not begun:
                self.say(f"No checkpoint in {self.args.out} yet: beginning.")
            return begun
        if self.args.out.exists() and ((self.args.out / llama_folder.HEADS_FILE).exists() or list(self.checkpoints.folder.glob("step-*"))):
            raise FolderError(f"{self.args.out} holds an earlier run. Go on with --resume, or give another --out.")
        return None

    def _open_data(self) -> None:
        a = self.args
        books = open_books(a.data, a.packed_tokenizer, a.out / "checkpoints", self.ranks.first)
        if books is None:
            raise FolderError("No book is left to train on: the only ones are held out, by the hash of their names. Give more books.")
        unread = a.eval_data or [path for path in a.data if path.is_dir()]  # what is packed in --data is trained on
        held_out = open_books(unread, a.packed_tokenizer, a.out / "checkpoints", self.ranks.first, held_out=True)
        if a.eval_documents and held_out is None:
            self.say("No book is held out: the evaluation asks for held-out names and numbers in prose of the training books.")
        self.documents = evaluation_documents(held_out or books, a.eval_tokens, a.eval_documents) if a.eval_documents else []
        maker = HeadBatches(books, self.vocabulary, self.config.segment_length, a.seed, self.ranks.rank, a.tokens)
        unknown = [name for name in a.stages or [] if name not in maker.stages]
        if unknown:
            raise FolderError(f"There is no stage {unknown[0]} in batches of {a.tokens} tokens; there are {', '.join(maker.stages)}.")
        self.feed = Feed(maker, self.progress.step, a.workers, a.steps, a.curriculum_pace, a.stages)
        self.refusal = maker.refusal()
        self.say(f"{len(books.tokens):,} packed tokens of {len(books.names)} books; BOS {self.vocabulary.bos}, answers end with {self.vocabulary.eos}")

    def train(self) -> None:
        a, p = self.args, self.progress
        before, began, saved, said, evaluated = p.seconds, time.time(), time.time(), 0.0, time.time()
        recent: dict[str, list[float]] = {}
        while p.share < 1:
            name, batch = self.feed.get()
            lm, answer, norm = self._step(name, batch)
            p.step += 1
            p.tokens += batch["segments"].size * self.ranks.count
            p.seconds = self.ranks.agree(before + time.time() - began, self.device)  # the first rank's clock, on every rank
            self.feed.clock.value = p.share
            for key, value in (("lm", lm), (name, answer)):
                recent[key] = (recent.get(key, []) + [value])[-20:]
            now = p.seconds - before + began  # the same on every rank
            if time.time() - said > a.log_seconds or p.share == 1:
                said = time.time()
                self._tell(recent, norm)
            if (a.save_steps and p.step % a.save_steps == 0) or now - saved > a.save_minutes * 60:
                saved = now
                self.checkpoints.save(self.trainer, self.streams, p.step, p.seconds, p.tokens)
            if p.share < 1 and ((a.eval_steps and p.step % a.eval_steps == 0) or now - evaluated > a.eval_minutes * 60):
                evaluated = now
                self._evaluate()
        self.feed.close()
        self.checkpoints.save(self.trainer, self.streams, p.step, p.seconds, p.tokens)
        heads = self.trainer.heads()
        if self.ranks.first:
            write_folder(a.base, a.out, self.config, heads, a.copy)
        result = self._evaluate()
        self.say(f"{p.step} steps, {p.tokens:,} tokens, {p.seconds:.0f} s -> {a.out}")
        if not result["base_bit_identical"]:
            self.say(f"WARNING: on an empty memory the base's logits differ by up to {result['base_difference']:.2e} from those before the run.")

    def _step(self, name: str, batch: dict) -> tuple[float, float, float]:
        stage = scaled_stages(self.config.segment_length, self.args.tokens)[name]
        if stage.stream:
            self.streams = self.streams or Streams(len(batch["segments"]), stage.segments, self.args.longest // stage.segment_length,
                                                   self.args.seed * 100 + self.ranks.rank, unknown=self.refusal)
            batch = self.streams.go_on(batch)
        torch.manual_seed((self.args.seed * 1000 + self.ranks.rank) * 10**9 + self.progress.step)  # which prose tokens count in the loss
        set_rate([self.trainer.optimizer], self.progress.share, decay=self.args.decay)
        return self.trainer.step(to_device(batch, self.device), self.streams if stage.stream else None)

    def _tell(self, recent: dict[str, list[float]], norm: float) -> None:
        p = self.progress
        losses = {k: round(sum(v) / len(v), 3) for k, v in recent.items()}
        memory = f" {torch.cuda.max_memory_allocated(self.device) / 2**30:.1f} GiB" if self.device.type == "cuda" else ""
        self.say(f"{p.share:6.1%} step {p.step} {p.tokens / max(p.seconds, 1e-9) / 1e3:.2f}K tokens/s{memory} grad {norm:.2f} {losses} {p.left()} left")
        self._log({"losses": losses, "grad": norm})

    def _evaluate(self) -> dict:
        result = self.evaluation.run()
        self.say(f"evaluation at step {self.progress.step}: {result}")
        self._log({"evaluation": result})
        return result

    def _log(self, entry: dict) -> None:
        """One line of conversion.jsonl."""
        if self.ranks.first:
            p = self.progress
            self.args.out.mkdir(parents=True, exist_ok=True)
            with open(self.args.out / "conversion.jsonl", "a", encoding="utf-8") as log:
                log.write(json.dumps({"step": p.step, "seconds": round(p.seconds, 1), "tokens": p.tokens} | entry) + "\n")


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--base", type=Path, required=True, help="folder of a plain Llama: config.json, tokenizer.json, safetensors")
    p.add_argument("--data", type=Path, nargs="+", required=True, help="folders of .txt books, or packed files (.npz)")
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in --out, if there is one")
    p.add_argument("--memory-heads", type=int, default=8, help="per layer")
    p.add_argument("--memory-kv-heads", type=int, help="each has one M and z; as many as memory heads if not given")
    p.add_argument("--memory-head-dim", type=int, help="of queries and keys; the base's if not given")
    p.add_argument("--memory-value-dim", type=int, help="of values; that of keys if not given")
    p.add_argument("--memory-layers", type=int, nargs="+", metavar="LAYER", help="the layers that get memory heads, from 0 on; all if not given")
    p.add_argument("--segment-length", type=int, default=256, help="S, in tokens")
    p.add_argument("--minutes", type=float, default=60, help="of training, all parts of the run together")
    p.add_argument("--steps", type=int, default=0, help="instead of minutes")
    p.add_argument("--tokens", type=int, default=32768, help="per step and rank; longer documents than this are not drawn")
    p.add_argument("--parallel", choices=["auto", "ddp", "fsdp"], default="auto", help="auto: fsdp where the base takes half of a GPU's memory")
    p.add_argument("--dtype", choices=list(DTYPES), default="bfloat16", help="of the base and of matrix products")
    p.add_argument("--no-checkpointing", action="store_true", help="keep all activations: faster, much more memory")
    p.add_argument("--compile", action="store_true")
    p.add_argument("--muon-lr", type=float, default=0.02)
    p.add_argument("--decay", type=float, default=0.45, help="share of the run over which the rate falls, at its end")
    p.add_argument("--lm-share", type=float, default=0.25, help="share of the prose tokens that count in the loss")
    p.add_argument("--lm-weight", type=float, default=1.0)
    p.add_argument("--stages", nargs="*", help="draw these stages only")
    p.add_argument("--curriculum-pace", type=float, default=1.4)
    p.add_argument("--longest", type=int, default=2_000_000, help="tokens that the longest stream grows to")
    p.add_argument("--eval-data", type=Path, nargs="*", help="packed held-out books, where --data is packed")
    p.add_argument("--eval-documents", type=int, default=8, help="0: no recall during the run")
    p.add_argument("--eval-tokens", type=int, default=2048)
    p.add_argument("--eval-minutes", type=float, default=20)
    p.add_argument("--eval-steps", type=int, default=0)
    p.add_argument("--save-minutes", type=float, default=10)
    p.add_argument("--save-steps", type=int, default=0)
    p.add_argument("--log-seconds", type=float, default=15)
    p.add_argument("--packed-tokenizer", type=Path, default=SHIPPED, help="folder of the tokenizer of the packed books")
    p.add_argument("--workers", type=int, default=4, help="processes that draw batches, per rank")
    p.add_argument("--copy", action="store_true", help="copy the base's weights into --out instead of linking them")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return p


def main() -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # the workers are forked
    try:
        run = Run(parser().parse_args())
        run.train()
        ranks = run.ranks
        del run  # with it, all that holds the process group
        ranks.end()
    except FolderError as error:
        sys.exit(f"convert: {error}")


if __name__ == "__main__":
    main()
