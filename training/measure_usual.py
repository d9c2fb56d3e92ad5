"""What a usual implementation does with the same weights, and what the machine's memory allows: transformers with SDPA and a
KV cache, to compare the engine with (measure_gpu.sh).

    python training/measure_usual.py --model FOLDER [--contexts 8K 32K 128K 256K] [--out usual.json]

FOLDER: as random_llama.py writes it (memory heads are passed over: transformers does not know them). Prints one JSON object:
reading by contexts (tokens/s of the whole context, peak memory), decoding at the first context (eager, and with a static
cache and a compiled step), and the card's bandwidth: copying (read and written bytes together), and reading alone.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

SIZES = {"K": 1024, "M": 1024**2}


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


@torch.inference_mode()
def read(model, length: int, portion: int, device: torch.device):
    """Prefills `length` tokens in portions; the cache, and a report."""
    from transformers import DynamicCache

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    ids = torch.randint(0, min(8192, model.config.vocab_size), (1, length), device=device)
    cache = DynamicCache()
    with Clock(device) as clock:
        for begin in range(0, length, portion):
            model(ids[:, begin : begin + portion], past_key_values=cache, use_cache=True, logits_to_keep=1)
    peak = round(torch.cuda.max_memory_allocated(device) / 1e9, 2) if device.type == "cuda" else None
    return cache, {"tokens": length, "seconds": round(clock.seconds, 3), "tokens_per_second": round(length / clock.seconds), "peak_gb": peak}


@torch.inference_mode()
def decode(step, first: torch.Tensor, count: int, device: torch.device) -> float:
    """Tokens/s of `count` greedy steps; the first few do not count (compilation)."""
    token, begun = first, 0
    for i in range(8 + count):
        if i == 8:
            clock = Clock(device).__enter__()
        token = step(token, i).argmax(-1)
    clock.__exit__()
    return round(count / clock.seconds, 1)


def compiled_step(model, length: int, count: int, device: torch.device):
    """A step with a static cache of `length` + `count` positions, compiled as transformers' guide does."""
    from transformers import StaticCache

    cache = StaticCache(config=model.config, max_cache_len=length + count)
    forward = torch.compile(model.forward, mode="reduce-overhead", fullgraph=True)

    def step(token, i):
        position = torch.tensor([length + i], device=device)
        return forward(token, past_key_values=cache, cache_position=position, position_ids=position[None], use_cache=True).logits[:, -1:].clone()

    return step


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--model", type=Path, required=True)
    p.add_argument("--contexts", nargs="+", default=["8K", "32K", "128K", "256K"])
    p.add_argument("--portion", type=int, default=8192, help="tokens of a forward pass")
    p.add_argument("--decode", type=int, default=64, help="tokens")
    p.add_argument("--no-compile", action="store_true")
    p.add_argument("--gigabytes", type=float, default=8)
    p.add_argument("--seconds", type=float, default=1, help="of each bandwidth")
    p.add_argument("--out", type=Path)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    a = p.parse_args()
    import transformers

    device = torch.device(a.device)
    report = {"transformers": transformers.__version__, "torch": torch.__version__,
              "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"} | bandwidth(device, a.gigabytes, a.seconds)
    model = transformers.AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.bfloat16, attn_implementation="sdpa").to(device).eval()
    report["reading"] = []
    read(model, min(a.portion, 256), a.portion, device)  # kernels are chosen
    for i, length in enumerate(map(tokens_of, a.contexts)):
        cache, row = read(model, length, a.portion, device)
        if i == 0:
            token = torch.zeros(1, 1, dtype=torch.long, device=device)
            row["decoding_eager"] = decode(lambda t, _: model(t, past_key_values=cache, use_cache=True).logits[:, -1:], token, a.decode, device)
            if not a.no_compile:
                row["decoding_compiled"] = decode(compiled_step(model, length, a.decode + 16, device), token, a.decode, device)
        report["reading"].append(row)
        print(json.dumps(row), flush=True)
        del cache
    print(json.dumps(report))
    if a.out:
        a.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
