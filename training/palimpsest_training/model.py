"""Llama with Infini-attention (arXiv 2404.07143), the definition that the C++ engine must agree with.

Letters in shape comments: B documents, N segments of one document, L positions of a segment (BOS and padding included),
Q questions, P positions of a question, D hidden size, H query heads, G KV heads, d head dimension.

Two ways to run the same weights:
  * `read_and_ask`: everything of a batch at once, for training. Layer by layer all segments of all documents are one
    batch for the local part; with the linear rule the memory before segment n is the cumulative sum of the writes of
    the segments before it. Gradients flow through M and z without truncation.
  * reference.py: one document, one segment after another, as the equations stand. Slow and obvious; the tests hold
    this file against it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .config import ModelConfig


def sigma(x: Tensor) -> Tensor:
    """ELU(x) + 1 in fp32: the feature map of the memory."""
    return F.elu(x.float()) + 1.0


def rope_frequencies(c: ModelConfig) -> Tensor:
    """Inverse frequencies [d / 2], with Llama 3's scaling if the config asks for it."""
    inv = 1.0 / c.rope_theta ** (torch.arange(0, c.head_dim, 2, dtype=torch.float64) / c.head_dim)
    s = c.rope_scaling
    if s and s.get("rope_type", s.get("type")) == "llama3":
        low, high, old = s["low_freq_factor"], s["high_freq_factor"], s["original_max_position_embeddings"]
        wavelength = 2 * math.pi / inv
        smooth = ((old / wavelength - low) / (high - low)).clamp(0, 1)
        inv = (1 - smooth) * inv / s["factor"] + smooth * inv
    return inv


def rope_table(c: ModelConfig, length: int) -> tuple[Tensor, Tensor]:
    """cos and sin [length, d], the two halves alike (Hugging Face's layout)."""
    angles = torch.outer(torch.arange(length, dtype=torch.float64), rope_frequencies(c))
    angles = torch.cat([angles, angles], -1)
    return angles.cos().float(), angles.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [..., L, heads, d], cos and sin [L, 1, d] or broadcastable."""
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], -1)
    return (x * cos + turned * sin).to(x.dtype)


class RMSNorm(nn.Module):
    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x: Tensor) -> Tensor:
        y = x.float()
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.eps)
        return (y * self.weight.float()).to(x.dtype)


class Attention(nn.Module):
    """The projections of base heads and memory heads; the mixing over time is in Layer."""

    def __init__(self, c: ModelConfig, memory_heads: int):
        super().__init__()
        linear = lambda i, o: nn.Linear(i, o, bias=False)
        self.q_proj = linear(c.hidden_size, c.num_attention_heads * c.head_dim)
        self.k_proj = linear(c.hidden_size, c.num_key_value_heads * c.head_dim)
        self.v_proj = linear(c.hidden_size, c.num_key_value_heads * c.head_dim)
        self.o_proj = linear(c.num_attention_heads * c.head_dim, c.hidden_size)
        if memory_heads:
            self.memory_q_proj = linear(c.hidden_size, memory_heads * c.memory_head_dim)
            self.memory_k_proj = linear(c.hidden_size, c.memory_kv_heads * c.memory_head_dim)
            self.memory_v_proj = linear(c.hidden_size, c.memory_kv_heads * c.value_dim)
            self.memory_o_proj = linear(memory_heads * c.value_dim, c.hidden_size)
            if c.memory_scaled:
                self.memory_power = nn.Parameter(torch.zeros(memory_heads))
                self.memory_size = nn.Parameter(torch.ones(memory_heads))
        if c.memory_gate:
            self.memory_gate = nn.Parameter(torch.zeros(c.num_attention_heads))  # beta


class MLP(nn.Module):
    def __init__(self, c: ModelConfig):
        super().__init__()
        self.gate_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.up_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.down_proj = nn.Linear(c.intermediate_size, c.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class MemoryState:
    """M [B, G, dk, dv] and z [B, G, dk] of one part of one layer, fp32: what earlier calls have written."""

    def __init__(self, M: Tensor, z: Tensor):
        self.M, self.z = M, z


@dataclass
class Crowd:
    """What else stands in the memory that questions read: the other documents of the batch, and those of earlier ones.

    Memories add under the linear rule, so that a batch of short documents shows what a long one does: each question
    finds its own document among all the others, and its gradient reaches what every one of them has written.
    """

    earlier: list[list[MemoryState]] | None = None  # per layer and part, [1, ...]: what earlier batches wrote, without gradient
    weight: float = 1.0  # of the gradient into the other documents, which stand for the earlier ones too

    def around(self, M: Tensor, z: Tensor, layer: int, part: int) -> tuple[Tensor, Tensor]:
        """Of memories [B, ...] of single documents: for each what the others hold."""
        out = []
        for t, name in ((M, "M"), (z, "z")):
            others = t.sum(0, keepdim=True) - t
            others = self.weight * others - (self.weight - 1) * others.detach()
            out.append(others + getattr(self.earlier[layer][part], name) if self.earlier else others)
        return out[0], out[1]


class Layer(nn.Module):
    checkpointed = False  # True: what a training step needs of this layer is computed again instead of kept

    def __init__(self, c: ModelConfig, i: int):
        super().__init__()
        self.c, self.has_memory_heads = c, c.memory_heads_of(i) > 0
        self.input_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.self_attn = Attention(c, c.memory_heads_of(i))
        self.post_attention_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.mlp = MLP(c)

    def forward(self, through, i: int, h: Tensor):
        """`through` (of read_and_ask) with this layer: one call, around which PyTorch gathers a layer's shards."""
        if self.checkpointed and torch.is_grad_enabled():
            return checkpoint(through, i, self, h, use_reentrant=False, preserve_rng_state=False)
        return through(i, self, h)

    def project(self, h: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, ...]:
        """h [T, D] -> rotated q, k, and plain q, k, v of the base heads, then q, k, v of the memory heads if it has any: [T, heads, d]."""
        c, a = self.c, self.self_attn
        n = self.input_layernorm(h)
        split = lambda t, d: t.view(t.shape[0], -1, d)
        q, k, v = (split(p(n), c.head_dim) for p in (a.q_proj, a.k_proj, a.v_proj))
        out = (rotate(q, cos, sin), rotate(k, cos, sin), q, k, v)
        if self.has_memory_heads:
            out += tuple(split(p(n), c.memory_head_dim) for p in (a.memory_q_proj, a.memory_k_proj)) + (split(a.memory_v_proj(n), c.value_dim),)
        return out

    def finish(self, h: Tensor, local: Tensor, memory: Tensor | None) -> Tensor:
        """Output projections, residuals and feed-forward. local [T, H d], memory [T, Hm dm]."""
        a = self.self_attn
        h = h + a.o_proj(local)
        if memory is not None:
            h = h + a.memory_o_proj(memory)
        return h + self.mlp(self.post_attention_layernorm(h))


def local_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal softmax attention inside each segment. q [S, L, H, d], k, v [S, L, G, d] -> [S, L, H, d]."""
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=q.shape[1] != k.shape[1]).transpose(1, 2)


def read_memory(q: Tensor, M: Tensor, z: Tensor, eps: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """A_mem = sigma(Q) M / (sigma(Q) z + eps). q [..., L, H, d], M [..., G, d, dv], z [..., G, d] -> [..., L, H, dv] of dtype."""
    heads, groups = q.shape[-2], z.shape[-2]
    sq = sigma(q).unflatten(-2, (groups, heads // groups))  # [..., L, G, r, d]
    top = torch.einsum("...lgrd,...gdv->...lgrv", sq, M)
    bottom = (sq * z.unsqueeze(-3).unsqueeze(-2)).sum(-1)
    return (top / (bottom + eps).unsqueeze(-1)).flatten(-3, -2).to(dtype)


def scaled_read(q: Tensor, M: Tensor, z: Tensor, eps: float, power: Tensor, size: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """A_mem (size / rms)^power of each head, rms = sqrt(mean(A_mem^2) + eps^2): power 0 leaves it as it is, 1 leaves its direction
    alone, below 0 what is found strongly counts more. power, size [H]; 0 of an empty memory."""
    read = read_memory(q, M, z, eps)
    rms = (read.pow(2).mean(-1, keepdim=True) + eps**2).sqrt()
    return (read * (size.float().unsqueeze(-1) / rms).pow(power.float().unsqueeze(-1))).to(dtype)


def segment_writes(k: Tensor, v: Tensor, write: Tensor) -> tuple[Tensor, Tensor]:
    """What each segment adds to M and z. k, v [B, N, L, G, d], write [B, N, L] -> [B, N, G, d, dv], [B, N, G, d] fp32."""
    sk = sigma(k) * write.unsqueeze(-1).unsqueeze(-1)
    return torch.einsum("bnlgd,bnlgv->bngdv", sk, v.float()), sk.sum(2)


def delta_memories(sk: Tensor, v: Tensor, M: Tensor, z: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The delta rule, segment by segment: sk = sigma(K), 0 where nothing is written. M, z: before the first segment, then each one after."""
    all_M, all_z = [M], [z]
    for n in range(sk.shape[1]):
        known = torch.einsum("blgd,bgdv->blgv", sk[:, n], M)
        weight = torch.einsum("blgd,bgd->blg", sk[:, n], z) + eps
        M = M + torch.einsum("blgd,blgv->bgdv", sk[:, n], v[:, n] - known / weight.unsqueeze(-1))
        z = z + sk[:, n].sum(1)
        all_M.append(M)
        all_z.append(z)
    return torch.stack(all_M, 1), torch.stack(all_z, 1)


class InfiniLlama(nn.Module):
    """Parameter names are Hugging Face's ("model.layers.0.self_attn.q_proj.weight"), memory heads as in DESIGN."""

    def __init__(self, c: ModelConfig):
        super().__init__()
        self.c = c
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        self.model.layers = nn.ModuleList(Layer(c, i) for i in range(c.num_hidden_layers))
        self.model.norm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        if not c.tie_word_embeddings:
            self.lm_head = nn.Linear(c.hidden_size, c.vocab_size, bias=False)
        cos, sin = rope_table(c, c.max_position_embeddings)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.project, self.finish = Layer.project, Layer.finish
        self.read_memory, self.scaled_read, self.segment_writes = read_memory, scaled_read, segment_writes
        self.reset_parameters()

    def reset_parameters(self) -> None:
        depth = 1 / math.sqrt(2 * self.c.num_hidden_layers)
        for name, p in self.named_parameters():
            if name.endswith("memory_o_proj.weight"):
                nn.init.zeros_(p)  # an added head changes nothing until it has learned something
            elif p.dim() == 2:
                std = 0.02 if "embed_tokens" in name or "lm_head" in name else p.shape[1] ** -0.5
                nn.init.normal_(p, std=std * (depth if name.endswith(("o_proj.weight", "down_proj.weight")) else 1))
            elif name.endswith("memory_gate"):
                # half of the heads start as memory heads, half as local ones: a gate in the middle learns neither
                g = torch.full_like(p, math.log(0.05 / 0.95))
                g[: len(g) // 2] = math.log(0.95 / 0.05)
                p.data.copy_(g)

    def compile_blocks(self) -> None:
        """Compiles the two halves of a layer and the memory's two (not the model: their shapes change least)."""
        torch._dynamo.config.recompile_limit = 64  # of 8, reading with and without gradient, of one document or more, leaves none
        self.project = torch.compile(Layer.project, dynamic=True)
        self.finish = torch.compile(Layer.finish, dynamic=True)
        self.read_memory = torch.compile(read_memory, dynamic=True)
        self.scaled_read = torch.compile(scaled_read, dynamic=True)
        self.segment_writes = torch.compile(segment_writes, dynamic=True)

    def head(self, hidden: Tensor) -> Tensor:
        weight = self.model.embed_tokens.weight if self.c.tie_word_embeddings else self.lm_head.weight
        return F.linear(hidden, weight)

    def read_and_ask(
        self,
        segments: Tensor | None,  # [B, N, L] token ids, padded at the end
        write: Tensor | None,  # [B, N, L] bool: which positions are written (neither BOS nor padding)
        questions: Tensor | list[Tensor] | None = None,  # [B, Q, P], or several such, each with a length P of its own
        reads_from: Tensor | list[Tensor] | None = None,  # [B, Q]: how many segments of this call stand in the memory that the question reads
        states: list[list[MemoryState]] | None = None,  # memory before the first segment, per layer (without memory: []) and part; empty if None
        keep_states: bool = False,
        crowd: Crowd | None = None,  # only with segments and questions
        since: list[list[MemoryState]] | None = None,  # questions read what has been written since then only: a section
        begins: Tensor | list[Tensor] | None = None,  # [B, Q]: how many segments of this call stand before the section that the question reads
    ):
        """Hidden states after the final norm: (of segments [B, N, L, D], of questions [B, Q, P, D] or a list of such, new states).

        With the delta rule the memories of a document are made one after another, and `since`, `begins` and `crowd` mean nothing.
        """
        c = self.c
        if c.memory_update == "delta" and crowd:
            raise ValueError("memories of the delta rule do not add")
        one = isinstance(questions, Tensor)
        asked = [] if questions is None else [questions] if one else list(questions)
        reads_from = [] if questions is None else [reads_from] if one else list(reads_from)
        begins = [None] * len(reads_from) if begins is None else [begins] if one else list(begins)
        parts = [segments] * (segments is not None) + asked
        counts = [t.numel() for t in parts]
        device = parts[0].device
        h = self.model.embed_tokens(torch.cat([t.reshape(-1) for t in parts]))
        if torch.is_autocast_enabled(device.type):
            h = h.to(torch.get_autocast_dtype(device.type))
        place = torch.cat([torch.arange(t.shape[-1], device=device).repeat(t.numel() // t.shape[-1]) for t in parts])
        cos, sin = self.cos[place].unsqueeze(1), self.sin[place].unsqueeze(1)
        new_states: list[list[MemoryState]] = []
        # one segment on an empty memory: the memory heads give 0
        remembers = bool(asked) or states is not None or keep_states or segments.shape[1] > 1

        def through(i: int, layer: Layer, h: Tensor) -> tuple[Tensor, list[MemoryState]]:
            r, k, q0, k0, v, *added = self.project(layer, h, cos, sin)
            local = self._local(parts, counts, r, k, v)
            a = layer.self_attn
            before = states[i] if states is not None else [None, None]
            after: list[MemoryState] = []
            memory = None

            def part() -> tuple:
                n = len(after)
                return before[n], functools.partial(crowd.around, layer=i, part=n) if crowd else None, since[i][n] if since else None

            if c.memory_gate and remembers:
                mixed, state = self._remember(parts, counts, q0, k0, v, write, reads_from, begins, self._plain_read, *part())
                g = torch.sigmoid(a.memory_gate.float()).view(1, -1, 1)
                empty = self._empty(parts, reads_from, before[len(after)], device).view(-1, 1, 1)
                mixed = torch.where(empty, local.float(), g * mixed + (1 - g) * local.float())
                local = mixed.to(local.dtype)
                after.append(state)
            if layer.has_memory_heads and remembers:
                memory, state = self._remember(parts, counts, *added, write, reads_from, begins, self._read_of(a), *part())
                memory = memory.to(h.dtype).flatten(1)
                after.append(state)
            return self.finish(layer, h, local.flatten(1), memory), after

        for i, layer in enumerate(self.model.layers):
            h, after = layer(through, i, h)
            new_states.append(after if keep_states else [])
        h = self.model.norm(h)
        out = [t.view(*p.shape, -1) for t, p in zip(h.split(counts), parts)]
        seg = out.pop(0) if segments is not None else None
        return seg, (None if questions is None else out[0] if one else out), new_states

    @staticmethod
    def _local(parts, counts, q, k, v) -> Tensor:
        out = []
        for p, a, b, e in zip(parts, q.split(counts), k.split(counts), v.split(counts)):
            shape = lambda t: t.reshape(-1, p.shape[-1], *t.shape[1:])
            out.append(local_attention(shape(a).to(v.dtype), shape(b).to(v.dtype), shape(e)).flatten(0, 1))
        return torch.cat(out)

    def _plain_read(self, q: Tensor, M: Tensor, z: Tensor) -> Tensor:
        return self.read_memory(q, M, z, self.c.epsilon, q.dtype)

    def _read_of(self, a: Attention):
        """How the memory heads of a layer read: (q, M, z) -> A_mem."""
        if not self.c.memory_scaled:
            return self._plain_read
        return lambda q, M, z: self.scaled_read(q, M, z, self.c.epsilon, a.memory_power, a.memory_size, q.dtype)

    def _memories(self, k: Tensor, v: Tensor, write: Tensor, before: MemoryState | None) -> tuple[Tensor, Tensor]:
        """Before each segment and after the last: k, v [B, N, L, G, d] -> M [B, N + 1, G, d, dv], z [B, N + 1, G, d]."""
        B, N, _, G, d = k.shape
        M0 = before.M if before is not None else k.new_zeros(B, G, d, v.shape[-1], dtype=torch.float32)
        z0 = before.z if before is not None else k.new_zeros(B, G, d, dtype=torch.float32)
        if self.c.memory_update == "delta":
            return delta_memories(sigma(k) * write.unsqueeze(-1).unsqueeze(-1), v.float(), M0, z0, self.c.epsilon)
        dM, dz = self.segment_writes(k, v, write)
        after = lambda start, change: torch.cat([start.unsqueeze(1), start.unsqueeze(1) + change.cumsum(1)], 1)
        return after(M0, dM), after(z0, dz)

    @staticmethod
    def _empty(parts, reads_from, before: MemoryState | None, device) -> Tensor:
        """Per token: does it read the empty memory? Then heads with 0 < g < 1 use A_dot alone."""
        out = []
        for p, read in zip(parts, [None] * (len(parts) - len(reads_from)) + reads_from):
            if read is None:
                first = torch.arange(p.shape[1], device=device).expand(p.shape[:2]) == 0
            else:
                first = read == 0
            if before is not None:  # a document of the batch may begin here while others go on
                first = first & (before.z == 0).all(-1).all(-1).unsqueeze(1)
            out.append(first.unsqueeze(-1).expand(p.shape).reshape(-1))
        return torch.cat(out)

    def _remember(self, parts, counts, q, k, v, write, reads_from, begins, read, before: MemoryState | None, around=None,
                  since: MemoryState | None = None):
        """The memory path of one part of the heads: q, k, v [T, heads, d] un-rotated -> A_mem [T, heads, dv] in q's type, new state.
        read: (q, M, z) -> A_mem."""
        view = lambda t, p: t.reshape(*p.shape, *t.shape[1:])
        with torch.autocast(q.device.type, enabled=False):
            qs = [view(t, p) for t, p in zip(q.split(counts), parts)]
            asked = qs[len(qs) - len(reads_from):]
            out = []
            if len(qs) > len(asked):
                p = parts[0]
                M, z = self._memories(view(k.split(counts)[0], p), view(v.split(counts)[0], p), write, before)
                out.append(read(qs[0], M[:, :-1], z[:, :-1]).flatten(0, 2))
                state = MemoryState(M[:, -1], z[:, -1])
            else:
                M, z, state = before.M.unsqueeze(1), before.z.unsqueeze(1), before
                reads_from = [torch.zeros_like(r) for r in reads_from]
            rows = torch.arange(M.shape[0], device=q.device).unsqueeze(1)
            more = [t.unsqueeze(1) for t in around(state.M, state.z)] if around else None
            for a, at, begin in zip(asked, reads_from, begins):
                read_M, read_z = M[rows, at], z[rows, at]
                if begin is not None:
                    read_M, read_z = read_M - M[rows, begin], read_z - z[rows, begin]
                if since is not None:
                    read_M, read_z = read_M - since.M.unsqueeze(1), read_z - since.z.unsqueeze(1)
                if more:
                    read_M, read_z = read_M + more[0], read_z + more[1]
                out.append(read(a, read_M, read_z).flatten(0, 2))
        return torch.cat(out), state


def detached(states: list[list[MemoryState]]) -> list[list[MemoryState]]:
    """Copies without their history (not views into a whole batch's memories)."""
    return [[MemoryState(s.M.detach().clone(), s.z.detach().clone()) for s in layer] for layer in states]
