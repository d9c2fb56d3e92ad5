"""One document, one segment after another, exactly as the equations stand: slow, obvious, and the judge of the rest.

A_mem = sigma(Q) M / (sigma(Q) z + eps)        read first
        memory_scaled: A_mem (size / rms)^power, rms = sqrt(mean(A_mem^2) + eps^2), each head by itself
A     = g A_mem + (1 - g) A_dot
M    += sigma(K)^T V                            linear rule, then write
M    += sigma(K)^T (V - sigma(K) M / (sigma(K) z + eps))   delta rule
z    += sum_t sigma(K_t)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .model import InfiniLlama, rotate, sigma


class Memory:
    """Per layer and part ("base" where gates are, "added" where memory heads are): M [G, dk, dv], z [G, dk], in fp32."""

    def __init__(self, model: InfiniLlama):
        c = model.c
        self.parts: list[dict[str, tuple[Tensor, Tensor]]] = []
        self.tokens = 0
        for i in range(c.num_hidden_layers):
            layer = {}
            if c.memory_gate:
                layer["base"] = self._zeros(c.num_key_value_heads, c.head_dim, c.head_dim)
            if c.memory_heads_of(i):
                layer["added"] = self._zeros(c.memory_kv_heads, c.memory_head_dim, c.value_dim)
            self.parts.append(layer)

    @staticmethod
    def _zeros(groups: int, dk: int, dv: int):
        return torch.zeros(groups, dk, dv), torch.zeros(groups, dk)

    def clone(self) -> "Memory":
        new = object.__new__(Memory)
        new.parts = [{k: (M.clone(), z.clone()) for k, (M, z) in layer.items()} for layer in self.parts]
        new.tokens = self.tokens
        return new


def _memory_of_head(q: Tensor, M: Tensor, z: Tensor, eps: float) -> Tensor:
    s = sigma(q)  # [L, d]
    return (s @ M) / ((s @ z) + eps).unsqueeze(-1)


def _scaled(read: Tensor, power: Tensor, size: Tensor, eps: float) -> Tensor:
    rms = (read.pow(2).mean(-1, keepdim=True) + eps**2).sqrt()
    return read * (size / rms) ** power


@torch.no_grad()
def segment(model: InfiniLlama, tokens: list[int], memory: Memory, write: bool, bos: int | None) -> Tensor:
    """Runs one segment ([bos] + tokens), reading `memory`; writes the tokens (never the BOS) if asked. -> logits [L, V]."""
    c = model.c
    ids = torch.tensor(([bos] if bos is not None else []) + list(tokens))
    skip = 1 if bos is not None else 0
    L = len(ids)
    cos, sin = model.cos[:L].unsqueeze(1), model.sin[:L].unsqueeze(1)
    h = model.model.embed_tokens(ids)
    mask = torch.full((L, L), float("-inf")).triu(1)
    for layer, parts in zip(model.model.layers, memory.parts):
        a = layer.self_attn
        n = layer.input_layernorm(h)
        q = a.q_proj(n).view(L, -1, c.head_dim)
        k = a.k_proj(n).view(L, -1, c.head_dim)
        v = a.v_proj(n).view(L, -1, c.head_dim)
        qr, kr = rotate(q, cos, sin), rotate(k, cos, sin)
        group = c.num_attention_heads // c.num_key_value_heads
        heads = []
        for head in range(c.num_attention_heads):
            kv = head // group
            scores = qr[:, head] @ kr[:, kv].T / c.head_dim**0.5 + mask
            out = F.softmax(scores.float(), -1).to(v.dtype) @ v[:, kv]
            if "base" in parts and memory.tokens > 0:
                g = torch.sigmoid(a.memory_gate[head])
                M, z = parts["base"]
                out = g * _memory_of_head(q[:, head], M[kv], z[kv], c.epsilon) + (1 - g) * out
            heads.append(out)
        h_next = h + a.o_proj(torch.cat(heads, -1))
        if "added" in parts:
            mq = a.memory_q_proj(n).view(L, -1, c.memory_head_dim)
            mk = a.memory_k_proj(n).view(L, -1, c.memory_head_dim)
            mv = a.memory_v_proj(n).view(L, -1, c.value_dim)
            M, z = parts["added"]
            r = c.memory_heads // c.memory_kv_heads
            read = [_memory_of_head(mq[:, i], M[i // r], z[i // r], c.epsilon) for i in range(c.memory_heads)]
            if c.memory_scaled:
                read = [_scaled(x, a.memory_power[i], a.memory_size[i], c.epsilon) for i, x in enumerate(read)]
            h_next = h_next + a.memory_o_proj(torch.cat(read, -1).to(n.dtype))
        if write:
            if "base" in parts:
                parts["base"] = _write(c, parts["base"], k[skip:], v[skip:])
            if "added" in parts:
                parts["added"] = _write(c, parts["added"], mk[skip:], mv[skip:])
        h = h_next + layer.mlp(layer.post_attention_layernorm(h_next))
    if write:
        memory.tokens += len(tokens)
    return model.head(model.model.norm(h))


def _write(c, state: tuple[Tensor, Tensor], k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    M, z = state[0].clone(), state[1].clone()
    for kv in range(M.shape[0]):
        s, value = sigma(k[:, kv]), v[:, kv].float()
        if c.memory_update == "delta":
            value = value - (s @ M[kv]) / ((s @ z[kv]) + c.epsilon).unsqueeze(-1)
        M[kv] += s.T @ value
        z[kv] += s.sum(0)
    return M, z
