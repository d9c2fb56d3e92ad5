"""Checkpoints of a conversion: heads, optimizer, streams, and how far the run is. Written beside, then renamed.

checkpoints/step-00000400/
  run.json          step, seconds, tokens, ranks, and the settings that must not change
  *.distcp          heads and momentum (torch.distributed.checkpoint: any number of ranks can go on from it)
  streams-{rank}.pt documents that are being read on and on
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor

from .head_training import Trainer, restored_streams, stream_state
from .llama_folder import FolderError, read_json
from .ranks import Ranks
from .streams import Streams


class Checkpoints:
    def __init__(self, folder: Path, ranks: Ranks, settings: dict):
        """settings: what a run that goes on must share with the one that wrote the checkpoint."""
        self.folder, self.ranks, self.settings = folder, ranks, settings

    def latest(self) -> tuple[Path, dict] | None:
        """The newest whole checkpoint and its run.json. Raises FolderError when it is another run's."""
        found = sorted(p for p in self.folder.glob("step-*") if p.suffix != ".part")
        if not found:
            return None
        run = read_json(found[-1] / "run.json")
        for name, value in self.settings.items():
            if run["settings"].get(name) != value:
                raise FolderError(f"The checkpoint {found[-1]} was made with {name} = {run['settings'].get(name)}, not {value}. "
                                  "Go on with the same settings, or give another --out.")
        return found[-1], run

    def save(self, trainer: Trainer, streams: Streams | None, step: int, seconds: float, tokens: int) -> None:
        """All ranks together. Keeps the two newest."""
        whole = self.folder / f"step-{step:08}"
        half = whole.with_suffix(".part")
        if self.ranks.first:
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir(parents=True)
        self._meet()
        dcp.save(tensors_of(trainer), checkpoint_id=half)
        torch.save(stream_state(streams), half / f"streams-{self.ranks.rank}.pt")
        self._meet()
        if self.ranks.first:
            run = {"step": step, "seconds": seconds, "tokens": tokens, "ranks": self.ranks.count, "settings": self.settings}
            (half / "run.json").write_text(json.dumps(run, indent=1) + "\n")
            shutil.rmtree(whole, ignore_errors=True)
            half.rename(whole)
            for old in sorted(p for p in self.folder.glob("step-*") if p.suffix != ".part")[:-2]:
                shutil.rmtree(old)
        self._meet()

    def load(self, trainer: Trainer, folder: Path, run: dict) -> Streams | None:
        """Puts heads and momentum into the trainer; the streams come back, unless the number of ranks has changed."""
        tensors = tensors_of(trainer)
        dcp.load(tensors, checkpoint_id=folder)
        if run["ranks"] != self.ranks.count:
            return None
        return restored_streams(torch.load(folder / f"streams-{self.ranks.rank}.pt", map_location="cpu", weights_only=True), trainer.device)

    def _meet(self) -> None:
        if self.ranks.count > 1:
            dist.barrier()


def tensors_of(trainer: Trainer) -> dict[str, Tensor]:
    """Heads and their momentum by name, the trainer's own tensors: loading writes into them."""
    out = {}
    for name, p in trainer.model.named_parameters():
        if p.requires_grad:
            state = trainer.optimizer.state[p]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(p)
            out[f"heads.{name}"], out[f"momentum.{name}"] = p.detach(), state["momentum"]
    return out
