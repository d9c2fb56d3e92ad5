"""Muon for the matrices (Jordan et al. 2024: momentum, then its nearest orthogonal matrix), AdamW for the rest."""

from __future__ import annotations

import torch
from torch import Tensor


def orthogonalise(g: Tensor, steps: int = 5) -> Tensor:
    """Newton-Schulz iteration towards U V^T of g = U S V^T, in bf16. g [n, rows, cols], each matrix by itself."""
    a, b, c = 3.4445, -4.7750, 2.0315  # quintic coefficients of the original: steep at 0, singular values end near 1
    x = g.bfloat16()
    flip = x.shape[-2] > x.shape[-1]
    if flip:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        s = x @ x.mT
        x = a * x + (b * s + c * (s @ s)) @ x
    return (x.mT if flip else x).to(g.dtype)


class Muon(torch.optim.Optimizer):
    """lr is the spectral size of a step; weight decay is decoupled. Matrices of one shape are handled together."""

    def __init__(self, params, lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.01):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            shapes: dict[tuple[int, ...], list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    shapes.setdefault(tuple(p.shape), []).append(p)
            for shape, params in shapes.items():
                grads = torch.stack([p.grad for p in params])
                buffers = []
                for p in params:
                    state = self.state[p]
                    if "momentum" not in state:
                        state["momentum"] = torch.zeros_like(p)
                    buffers.append(state["momentum"])
                torch._foreach_lerp_(buffers, list(grads.unbind()), 1 - group["momentum"])
                update = orthogonalise(grads.lerp(torch.stack(buffers), group["momentum"]))  # Nesterov
                scale = max(1.0, shape[-2] / shape[-1]) ** 0.5
                torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(params, list(update.unbind()), alpha=-group["lr"] * scale)


def build_optimizers(model, muon_lr: float, adam_lr: float, gate_lr: float = 1e-3) -> list[torch.optim.Optimizer]:
    """Every trainable parameter in exactly one group; gates without weight decay at a rate of their own."""
    matrices, rest, gates = [], [], []
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        if name.endswith(("memory_gate", "memory_power", "memory_size")):
            gates.append(p)
        elif p.dim() == 2 and "embed_tokens" not in name and "lm_head" not in name:
            matrices.append(p)
        else:
            rest.append(p)
    out: list[torch.optim.Optimizer] = []
    if matrices:
        out.append(Muon(matrices, lr=muon_lr))
    groups = [g for g in (dict(params=rest, lr=adam_lr), dict(params=gates, lr=gate_lr)) if g["params"]]
    if groups:
        fused = groups[0]["params"][0].is_cuda
        out.append(torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=0.0, fused=fused))
    for o in out:
        for g in o.param_groups:
            g["peak"] = g["lr"]
    return out


def set_rate(optimizers, progress: float, warmup: float = 0.01, decay: float = 0.45, floor: float = 0.02) -> None:
    """Linear warm-up, a plateau, and a linear decay over the last `decay` of the run."""
    factor = min(1.0, progress / warmup if warmup else 1.0, floor + (1 - floor) * (1 - progress) / decay)
    for o in optimizers:
        for g in o.param_groups:
            g["lr"] = g["peak"] * max(factor, 1e-3)
