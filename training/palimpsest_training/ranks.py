"""Several processes of one run, one GPU each (torchrun): gradients are averaged by PyTorch's DistributedDataParallel.

    torchrun --standalone --nproc-per-node 4 -m palimpsest_training.train ...

Without torchrun there is one rank, and nothing of torch.distributed is touched.
"""

from __future__ import annotations

import gc
import os

import torch
import torch.distributed as dist
import torch.distributed.nn  # noqa: F401  before any process group is there: it would keep that as its functions' default, for ever
from torch import nn
from torch.nn.parallel import DistributedDataParallel


class Ranks:
    def __init__(self):
        self.rank = int(os.environ.get("RANK", 0))
        self.local = int(os.environ.get("LOCAL_RANK", 0))
        self.count = int(os.environ.get("WORLD_SIZE", 1))

    @property
    def first(self) -> bool:
        return self.rank == 0

    def device(self, name: str) -> torch.device:
        return torch.device("cuda", self.local) if name == "cuda" and self.count > 1 else torch.device(name)

    def begin(self, device: torch.device) -> None:
        """Meets the other ranks. After the data workers have been forked: it starts threads and opens the GPU."""
        if self.count > 1:
            if device.type == "cuda":
                torch.cuda.set_device(device)
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")

    def together(self, module: nn.Module) -> nn.Module:
        """Each rank draws its own stage, and a stage leaves some weights unused: DDP is told to look which."""
        return DistributedDataParallel(module, find_unused_parameters=True) if self.count > 1 else module

    def agree(self, value: float, device: torch.device) -> float:
        """The first rank's value on every rank: clocks differ, but all must take the same number of steps."""
        if self.count == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=device)
        dist.broadcast(shared, 0)
        return float(shared)

    def end(self) -> None:
        """Takes leave of the other ranks. What together() returned must have been let go: as long as something holds the process
        group its threads live, and one of them that still lets go of a tensor while Python shuts down aborts the process."""
        if self.count > 1:
            gc.collect()
            dist.destroy_process_group()
