"""What a usual implementation does with the same weights, and what the machine's memory allows: transformers with SDPA and a
KV cache, to compare the engine with (measure_gpu.sh).

    python training/measure_usual.py --model FOLDER [--contexts 8K 32K 128K 256K] [--out usual.json]

FOLDER: as random_llama.py writes it (memory heads are passed over: transformers does not know them). One JSON object:
the card's bandwidth: copying (read and written bytes together), and reading alone; reading by contexts (tokens/s of the whole
context, peak memory) and decoding after each (a plain loop, the cache as it is by default); and decoding after the first
context as transformers recommends it: generate() with a static cache, which compiles its step by itself. That is measured as
the difference of two runs, of few tokens and of more, after a run of each that does not count. What fails is written as
"error" in its place, and the rest goes on; --out is written anew after each row.
"""

from __future__ import annotations

import argparse
import json
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import torch

SIZES = {"K": 1024, "M": 1024**2}
FEW = 16  # tokens of the shorter run


def tokens_of(words: str) -> int:
    return int(words[:-1]) * SIZES[words[-1]] if words[-1] in SIZES else int(words)


class Clock:
    """Seconds between start and stop, with all that the device had been given."""

    def __init__(self, device: torch.device):
        self.finish = (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else (lambda: None)

    def __enter__(self) -> "Clock":
        self.finish()
        self.began = time.perf_counter()
        return self

    def __exit__(self, *_) -> None:
        self.finish()
        self.seconds = time.perf_counter() - self.began


@contextmanager
def at_most(seconds: int):
    def stop(*_):
        raise TimeoutError(f"took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def tried(work, seconds: int) -> dict:
    """What `work` returns, or why it did not."""
    try:
        with at_most(seconds):
            return work()
    except Exception as error:  # a card's memory, a compiler, a version: whatever it is, the other rows are wanted
        return {"error": f"{type(error).__name__}: {error}"[:600]}


def bandwidth(device: torch.device, gigabytes: float, seconds: float) -> dict:
    """GB/s of memory: y = x counts both, sum(x) reads alone."""
    x = torch.ones(int(gigabytes * 1e9 / 4), device=device)
    y = torch.empty_like(x)
    out = {}
    for name, work, bytes_moved in (("copy", lambda: y.copy_(x), 2 * 4 * len(x)), ("read", lambda: x.sum(), 4 * len(x))):
        work()
        rounds, took = 0, 0.0
        while took < seconds:
            with Clock(device) as clock:
                work()
            rounds, took = rounds + 1, took + clock.seconds
        out[f"{name}_gb_per_second"] = round(rounds * bytes_moved / took / 1e9, 1)
    return out


def some_tokens(model, length: int, device: torch.device) -> torch.Tensor:
    return torch.randint(2, min(8192, model.config.vocab_size), (1, length), device=device)


@torch.inference_mode()
def read(model, length: int, portion: int, device: torch.device):
    """Prefills `length` tokens in portions; the cache, and a report."""
    from transformers import DynamicCache

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    ids = some_tokens(model, length, device)
    cache = DynamicCache()
    with Clock(device) as clock:
        for begin in range(0, length, portion):
            model(ids[:, begin : begin + portion], past_key_values=cache, use_cache=True, logits_to_keep=1)
    peak = round(torch.cuda.max_memory_allocated(device) / 1e9, 2) if device.type == "cuda" else None
    return cache, {"tokens": length, "seconds": round(clock.seconds, 3), "tokens_per_second": round(length / clock.seconds), "peak_gb": peak}


@torch.inference_mode()
def decode(model, cache, count: int, device: torch.device) -> float:
    """Tokens/s of `count` greedy steps, eagerly; the first few do not count."""
    token = torch.zeros(1, 1, dtype=torch.long, device=device)
    step = lambda t: model(t, past_key_values=cache, use_cache=True).logits[:, -1:].argmax(-1)
    for _ in range(4):
        token = step(token)
    with Clock(device) as clock:
        for _ in range(count):
            token = step(token)
    return round(count / clock.seconds, 1)


def read_and_decode(model, length: int, portion: int, count: int, device: torch.device) -> dict:
    cache, row = read(model, length, portion, device)
    return row | {"decoding_eager": decode(model, cache, count, device)}


def generated(model, length: int, count: int, device: torch.device, mode: str) -> dict:
    """Tokens/s of generate() with a static cache; `mode` of torch.compile, "" for transformers' own."""
    ids = some_tokens(model, length, device)
    options = {"attention_mask": torch.ones_like(ids), "do_sample": False, "cache_implementation": "static"}
    if mode:
        from transformers import CompileConfig

        options["compile_config"] = CompileConfig(mode=mode)

    def seconds(new: int) -> float:
        with Clock(device) as clock:
            out = model.generate(ids, min_new_tokens=new, max_new_tokens=new, **options)
        if out.shape[1] != length + new:
            raise RuntimeError(f"{out.shape[1] - length} tokens instead of {new}")
        return clock.seconds

    lengths = (FEW + count, FEW)  # the longer one first: its cache serves both
    with Clock(device) as warming:
        for _ in range(2):
            for new in lengths:
                seconds(new)
    more, few = (min(seconds(new) for _ in range(3)) for new in lengths)
    return {"tokens": length, "tokens_per_second": round(count / (more - few), 1), "seconds_to_warm_up": round(warming.seconds, 1)}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--model", type=Path, required=True)
    p.add_argument("--contexts", nargs="+", default=["8K", "32K", "128K", "256K"])
    p.add_argument("--portion", type=int, default=8192, help="tokens of a forward pass")
    p.add_argument("--decode", type=int, default=128, help="tokens")
    p.add_argument("--compile-modes", nargs="*", default=["", "default"], help='of torch.compile; "": transformers\' own')
    p.add_argument("--no-compile", dest="compile_modes", action="store_const", const=[])
    p.add_argument("--limit", type=int, default=180, help="seconds of a row")
    p.add_argument("--gigabytes", type=float, default=8)
    p.add_argument("--seconds", type=float, default=1, help="of each bandwidth")
    p.add_argument("--out", type=Path)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    a = p.parse_args()
    import transformers

    device = torch.device(a.device)
    report = {"transformers": transformers.__version__, "torch": torch.__version__,
              "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"}

    def write(row: dict) -> None:
        print(json.dumps(row), flush=True)
        if a.out:
            a.out.write_text(json.dumps(report, indent=1) + "\n")

    report |= bandwidth(device, a.gigabytes, a.seconds)
    write(report)
    model = transformers.AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.bfloat16, attn_implementation="sdpa").to(device).eval()
    model.generation_config.eos_token_id = None  # as many tokens as are asked for
    model.generation_config.pad_token_id = 0
    contexts = [tokens_of(words) for words in a.contexts]
    tried(lambda: read(model, min(a.portion, contexts[0]), a.portion, device)[1], a.limit)  # kernels are chosen
    report["reading"], report["generating"] = [], []
    for length in contexts:
        report["reading"].append({"tokens": length} | tried(lambda: read_and_decode(model, length, a.portion, a.decode, device), a.limit))
        write(report["reading"][-1])
        if device.type == "cuda":
            torch.cuda.empty_cache()
    for mode in a.compile_modes:
        torch.compiler.reset()
        report["generating"].append({"compiled": mode or "as transformers does"}
                                    | tried(lambda: generated(model, contexts[0], a.decode, device, mode), a.limit))
        write(report["generating"][-1])


if __name__ == "__main__":
    main()
