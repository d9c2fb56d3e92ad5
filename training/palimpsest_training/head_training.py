"""What one step of a conversion needs: a frozen base with trainable heads on one or several GPUs, losses, optimizer.

Several GPUs, both from PyTorch:
  ddp   the base stands on every GPU; gradients of the heads are averaged
  fsdp  fully_shard (FSDP2): base and heads are spread over the GPUs, and a layer is gathered when it is its turn
"""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from .batches import IGNORE
from .config import ModelConfig
from .llama_folder import Source, materialise, meta_model
from .losses import Losses
from .model import InfiniLlama, MemoryState, detached
from .optim import Muon, orthogonalise
from .ranks import Ranks
from .streams import Streams

LOSS_CHUNK = 2048  # tokens whose logits exist at once: 2048 x 128256 in fp32 are 1 GB


class HeadLosses(Losses):
    """The two losses of train.py; logits in chunks, which are computed again in the backward pass."""

    def of(self, hidden: Tensor, labels: Tensor) -> Tensor:
        hidden, labels = hidden.flatten(0, -2), labels.flatten()
        used = labels != IGNORE
        hidden, labels = hidden[used], labels[used]
        weight = (self.model.model.embed_tokens if self.model.c.tie_word_embeddings else self.model.lm_head).weight.to(hidden.dtype)
        chunk = lambda h, y: F.cross_entropy(F.linear(h, weight).float(), y, reduction="sum")
        total = hidden.sum() * 0.0  # nothing to learn from: a loss of 0, not of 0 / 0
        for h, y in zip(hidden.split(LOSS_CHUNK), labels.split(LOSS_CHUNK)):
            total = total + checkpoint(chunk, h, y, use_reentrant=False, preserve_rng_state=False)
        return total / max(1, len(labels))


class ShardedMuon(Muon):
    """Muon for matrices that are spread over ranks: every rank makes the whole matrix orthogonal and keeps its part."""

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if "momentum" not in self.state[p]:
                    self.state[p]["momentum"] = torch.zeros_like(p)
                momentum = self.state[p]["momentum"]
                momentum.lerp_(p.grad, 1 - group["momentum"])
                whole = p.grad.lerp(momentum, group["momentum"]).full_tensor()
                update = orthogonalise(whole.unsqueeze(0)).squeeze(0)
                scale = max(1.0, p.shape[-2] / p.shape[-1]) ** 0.5
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(distribute_tensor(update, p.device_mesh, p.placements, src_data_rank=None), alpha=-group["lr"] * scale)


def parallel_kind(asked: str, config: ModelConfig, dtype: torch.dtype, ranks: Ranks, device: torch.device) -> str:
    """ddp where the base leaves more than half of a GPU's memory free, else fsdp; one rank: none."""
    if ranks.count == 1:
        return "none"
    if asked != "auto":
        return asked
    base = sum(p.numel() * p.element_size() for n, p in meta_model(config, dtype).named_parameters() if ".memory_" not in n)
    room = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else float("inf")
    return "ddp" if base < 0.5 * room else "fsdp"


def build(config: ModelConfig, base: Source, heads: Source, dtype: torch.dtype, device: torch.device, parallel: str,
          checkpointing: bool) -> InfiniLlama:
    """The model on its device(s), base frozen. dtype: of the base and of matrix products; heads are kept in fp32."""
    model = meta_model(config, dtype)
    if parallel == "fsdp":
        mesh = init_device_mesh(device.type, (dist.get_world_size(),))
        policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
        for layer in model.model.layers:
            fully_shard(layer, mesh=mesh, mp_policy=policy)
        fully_shard(model, mesh=mesh, mp_policy=policy)
        register_fsdp_forward_method(model, "read_and_ask")
    materialise(model, base, heads, device)
    for layer in model.model.layers:
        layer.checkpointed = checkpointing
    return model


class Trainer:
    """Model, losses and optimizer of one rank; step() takes a batch."""

    def __init__(self, model: InfiniLlama, dtype: torch.dtype, device: torch.device, parallel: str, lr: float, lm_share: float, lm_weight: float):
        self.model, self.dtype, self.device, self.lm_weight = model, dtype, device, lm_weight
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = (ShardedMuon if parallel == "fsdp" else Muon)(self.parameters, lr=lr)
        for group in self.optimizer.param_groups:
            group["peak"] = lr
        self.losses: nn.Module = HeadLosses(model, False, lm_share)
        if parallel == "ddp":  # every batch asks the memory: no weight is left unused; all ranks have the same weights already
            self.losses = DistributedDataParallel(self.losses, broadcast_buffers=False, init_sync=False, gradient_as_bucket_view=True)

    @property
    def autocast(self) -> bool:
        return self.dtype != torch.float32

    def step(self, batch: dict[str, Tensor], streams: Streams | None = None) -> tuple[float, float, float]:
        """Losses of prose and answers (this rank's), and the gradient's norm. A step without a finite gradient is left out."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            lm, answer = self.losses(batch, streams)
            loss = self.lm_weight * lm + answer
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        if torch.isfinite(norm):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(lm.detach()), float(answer.detach()), float(norm)

    def heads(self) -> dict[str, Tensor]:
        """The memory heads by name, whole, on the CPU. All ranks call it together."""
        whole = lambda p: p.full_tensor() if isinstance(p, DTensor) else p
        return {n: whole(p.detach()).cpu() for n, p in self.model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def short_logits(self, ids: Tensor, remembers: bool) -> Tensor:
        """Logits [L, vocabulary] of one short text [L]: of the base alone, or with the memory heads on an empty memory."""
        segments = ids.view(1, 1, -1).to(self.device)
        write = torch.ones_like(segments, dtype=torch.bool)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            hidden, _, _ = self.model.read_and_ask(segments, write, keep_states=remembers)
            return self.model.head(hidden[0, 0]).float().cpu()


def stream_state(streams: Streams | None) -> dict:
    """What a checkpoint keeps of the documents that are being read on and on: tensors, numbers and lists only."""
    if streams is None:
        return {}
    flat = lambda states: None if states is None else [[(s.M, s.z) for s in layer] for layer in detached(states)]
    pairs = lambda bank: [[(torch.from_numpy(q.copy()), torch.from_numpy(a.copy())) for q, a in row] for row in bank]
    keep = {k: v for k, v in vars(streams).items() if k not in ("rng", "states", "since", "bank", "earlier_bank")}
    return keep | dict(rng=streams.rng.getstate(), states=flat(streams.states), since=flat(streams.since), bank=pairs(streams.bank),
                       earlier_bank=pairs(streams.earlier_bank))


def restored_streams(saved: dict, device: torch.device) -> Streams | None:
    if not saved:
        return None
    streams = Streams(len(saved["read"]), saved["segments"], saved["longest"], 0)
    states = lambda flat: None if flat is None else [[MemoryState(M.to(device), z.to(device)) for M, z in layer] for layer in flat]
    arrays = lambda bank: [[(q.numpy(), a.numpy()) for q, a in row] for row in bank]
    version, numbers, gauss = saved["rng"]
    streams.rng.setstate((version, tuple(numbers), gauss))
    special = dict(states=states(saved["states"]), since=states(saved["since"]), bank=arrays(saved["bank"]), earlier_bank=arrays(saved["earlier_bank"]))
    vars(streams).update({k: v for k, v in saved.items() if k != "rng"} | special)
    return streams
