"""Two processes of one run: what each of them learns from its own documents reaches both."""

import os
import socket
from pathlib import Path

import torch
import torch.multiprocessing as mp

from palimpsest_training.config import ModelConfig
from palimpsest_training.model import InfiniLlama
from palimpsest_training.ranks import Ranks
from palimpsest_training.losses import Losses
from palimpsest_training.train import to_device

from test_streams import N, portion

CONFIG = ModelConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                     head_dim=8, vocab_size=50, max_position_embeddings=64, memory_heads=2, memory_kv_heads=2, memory_head_dim=8)


def batch_of(rank: int):
    batch = to_device(portion(rank), "cpu")
    if rank == 1:  # questions inside the segment: the memory's weights are not used at all
        answers = torch.full_like(batch["labels"][:, :1], -100)
        answers[:, :, 3] = 7
        batch = dict(segments=batch["segments"][:, :1], labels=batch["labels"][:, :1], answers=answers)
    return batch


def gradients(rank: int, losses) -> dict[str, torch.Tensor]:
    lm, answer = losses(batch_of(rank))
    (lm + answer).backward()
    model = getattr(losses, "module", losses).model
    return {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}


def losses():
    torch.manual_seed(1)
    model = InfiniLlama(CONFIG)
    for layer in model.model.layers:
        torch.nn.init.normal_(layer.self_attn.memory_o_proj.weight, std=0.1)
    return Losses(model, False, 1.0)


def run(rank: int, port: int, folder: str) -> None:
    os.environ |= dict(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="localhost", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    ranks = Ranks()
    ranks.begin(ranks.device("cpu"))
    agreed = ranks.agree(0.25 + rank, torch.device("cpu"))
    torch.save((agreed, gradients(rank, ranks.together(losses()))), f"{folder}/{rank}.pt")
    ranks.end()
    assert not [t for t in threads() if "gloo" in t], threads()


def threads() -> list[str]:
    """Names of this process's threads."""
    return [Path(f"/proc/self/task/{t}/comm").read_text().strip() for t in os.listdir("/proc/self/task")]


def test_every_rank_gets_the_mean_of_the_gradients(tmp_path):
    with socket.socket() as s:
        s.bind(("localhost", 0))
        port = s.getsockname()[1]
    mp.spawn(run, (port, str(tmp_path)), nprocs=2)
    (time0, first), (time1, second) = (torch.load(tmp_path / f"{r}.pt") for r in (0, 1))
    assert time0 == time1 == 0.25  # the first rank's clock
    alone = [gradients(r, losses()) for r in (0, 1)]
    for name in first:
        torch.testing.assert_close(first[name], (alone[0][name] + alone[1][name]) / 2, msg=name)
        assert torch.equal(first[name], second[name]), name
    assert any(alone[0][n].abs().sum() > 0 and alone[1][n].abs().sum() == 0 for n in first if "memory_" in n)


def test_without_torchrun_nothing_is_distributed(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    ranks, module = Ranks(), losses()
    assert ranks.first and ranks.together(module) is module and ranks.agree(0.5, torch.device("cpu")) == 0.5


def test_ranks_take_their_batches_in_the_same_order(tmp_path):
    import queue
    import random

    from palimpsest_training.train import SameStage, draw_stage, parser

    args = parser().parse_args(["--phase", "all", "--data", "-", "--tokenizer", "-", "--out", "-", "--stages", "2k=3", "8k", "--base-share", "0.3"])
    orders = []
    for rank in (0, 1):
        made, rng = queue.Queue(), random.Random(rank + 5)  # each rank's workers draw for themselves
        for i in range(400):
            made.put((draw_stage(args, 0.5, rng), i))
        ordered = SameStage(made, args)
        orders.append([ordered.next(0.5) for _ in range(200)])
    names = [[name for name, _ in order] for order in orders]
    assert names[0] == names[1] and {"2k", "8k", 512} <= set(names[0])
    assert names[0].count("2k") > 1.8 * names[0].count("8k")  # three to one
    assert orders[0] != orders[1] and len({i for _, i in orders[0]}) == 200
