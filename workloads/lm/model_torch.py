"""The language model in PyTorch: the same mathematics, names and shapes as `model_jax.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from workloads.model_torch import Tensors, TorchModel, activity, smoothed

if TYPE_CHECKING:
    from workloads.contract import Array
    from workloads.lm.settings import LmScale

EPSILON = 1e-6


class Linear(nn.Linear):
    """Without a bias; what it holds is multiplied by the gain, in float32."""

    def __init__(self, inputs: int, outputs: int, gain: float) -> None:
        super().__init__(inputs, outputs, bias=False)
        self.gain = gain

    def forward(self, x: Tensor) -> Tensor:
        """In the type of `x`."""
        return F.linear(x, (self.weight * self.gain).to(x.dtype))


class Seen:
    """What diagnostics look at within the blocks."""

    def __init__(self) -> None:
        self.hidden: list[Tensor] = []
        self.logits: list[Tensor] = []

    def attention(self, q: Tensor, k: Tensor) -> None:
        """Note the largest logit; queries and keys are (batch, heads, time, head_width)."""
        logits = (q @ k.transpose(2, 3)).float() * q.shape[-1] ** -0.5
        past = torch.ones(logits.shape[2:], dtype=torch.bool, device=q.device).tril()
        self.logits.append(logits.masked_fill(~past, -torch.inf).max())


class Block(nn.Module):
    """Causal self-attention and a GELU MLP, each added to the residual stream."""

    def __init__(self, settings: LmScale) -> None:
        super().__init__()
        model = settings.model
        width, hidden, gain = model.width, model.hidden, model.gain
        self.heads = model.heads
        self.qk_norm = model.qk_norm
        self.post_norm = model.norm == "post"
        self.norm1 = nn.RMSNorm(width, EPSILON)
        self.query = Linear(width, width, gain)
        self.key = Linear(width, width, gain)
        self.value = Linear(width, width, gain)
        if model.qk_norm:
            self.query_norm = nn.RMSNorm(model.head_width, EPSILON)
            self.key_norm = nn.RMSNorm(model.head_width, EPSILON)
        self.out = Linear(width, width, gain)
        self.norm2 = nn.RMSNorm(width, EPSILON)
        self.up = Linear(width, hidden, gain)
        self.down = Linear(hidden, width, gain)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, seen: Seen | None = None) -> Tensor:
        """(batch, time, width) to the same; `cos` and `sin` are (time, 1, head_width / 2)."""
        if self.post_norm:
            x = _rms_norm(x + self._attend(x, cos, sin, seen), self.norm1)
            return _rms_norm(x + self._transform(x, seen), self.norm2)
        x = x + self._attend(_rms_norm(x, self.norm1), cos, sin, seen)
        return x + self._transform(_rms_norm(x, self.norm2), seen)

    def _attend(self, x: Tensor, cos: Tensor, sin: Tensor, seen: Seen | None) -> Tensor:
        batch, time, width = x.shape
        split = (batch, time, self.heads, width // self.heads)
        q, k, v = (m(x).view(split) for m in (self.query, self.key, self.value))
        if self.qk_norm:
            q, k = _rms_norm(q, self.query_norm), _rms_norm(k, self.key_norm)
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        if seen is not None:
            seen.attention(q, k)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(x.shape))

    def _transform(self, x: Tensor, seen: Seen | None) -> Tensor:
        hidden = F.gelu(self.up(x), approximate="tanh")
        if seen is not None:
            seen.hidden.append(hidden.flatten(0, 1))
        return self.down(hidden)


class Transformer(TorchModel):
    """Decoder-only transformer over token ids; a batch is {"tokens": (batch, context + 1)}.

    Weights are float32; with compute type bfloat16 weights and activations are cast on the way,
    norms and loss stay in float32.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, settings: LmScale, rotary: tuple[Array, Array]) -> None:
        super().__init__()
        model, vocabulary = settings.model, settings.data.vocabulary
        self.dtype = getattr(torch, settings.compute.dtype)
        self.z_loss = model.z_loss
        self.gain = model.gain
        self.micro_batches = model.micro_batches
        self.embedding = nn.Embedding(vocabulary, model.width)
        self.blocks = nn.ModuleList(Block(settings) for _ in range(model.layers))
        self.norm = nn.RMSNorm(model.width, EPSILON) if model.norm == "pre" else None
        self.head = Linear(model.width, vocabulary, model.gain)
        cos, sin = (torch.from_numpy(table).unsqueeze(1) for table in rotary)
        self.register_buffer("cos", cos.to(self.dtype), persistent=False)
        self.register_buffer("sin", sin.to(self.dtype), persistent=False)

    def loss(
        self, batch: Tensors, generator: torch.Generator, smoothing: float = 0.0
    ) -> tuple[Tensor, Tensors]:
        """Mean nats a token, with the z-loss if any; the by-product is plain."""
        tokens = batch["tokens"]
        if self.micro_batches == 1:
            loss, nats = self._loss(tokens, smoothing)
            return loss, {"loss": nats.detach()}
        totals = torch.stack(
            [
                torch.stack(checkpoint(self._loss, part, smoothing, use_reentrant=False))
                * (len(part) / len(tokens))
                for part in tokens.chunk(self.micro_batches)
            ]
        ).sum(0)
        return totals[0], {"loss": totals[1].detach()}

    def measure(self, batch: Tensors) -> Tensors:
        """`loss`, nats summed over the `count` predicted tokens."""
        sums = []
        for part in batch["tokens"].chunk(self.micro_batches):
            logits, targets = self._logits({"tokens": part})
            sums.append(F.cross_entropy(logits, targets, reduction="sum"))
        nats = torch.stack(sums).sum()
        return {"loss": nats, "count": torch.full_like(nats, batch["tokens"][:, 1:].numel())}

    def predict(self, batch: Tensors) -> Tensors:
        """`logits` float32 (batch, context, vocabulary) of each next token."""
        logits, _ = self._logits(batch)
        return {"logits": logits.unflatten(0, (len(batch["tokens"]), -1))}

    def inspect(self, batch: Tensors) -> Tensors:
        """The largest logit of attention, and the activity of the blocks' hidden units."""
        seen = Seen()
        self._logits(batch, seen)
        return {"attention_logit": torch.stack(seen.logits).max(), **activity(seen.hidden)}

    def _loss(self, tokens: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
        """The loss, and its plain part."""
        logits, targets = self._logits({"tokens": tokens})
        nats = F.cross_entropy(logits, targets)
        loss = smoothed(nats, logits, smoothing)
        if self.z_loss:
            loss = loss + self.z_loss * logits.logsumexp(-1).square().mean()
        return loss, nats

    def _logits(self, batch: Tensors, seen: Seen | None = None) -> tuple[Tensor, Tensor]:
        tokens = batch["tokens"].long()
        x = (self.embedding(tokens[:, :-1]) * self.gain).to(self.dtype)
        for block in self.blocks:
            x = block(x, self.cos, self.sin, seen)
        if self.norm is not None:
            x = _rms_norm(x, self.norm)
        return self.head(x).float().flatten(0, 1), tokens[:, 1:].flatten()


def _rms_norm(x: Tensor, norm: nn.RMSNorm) -> Tensor:
    return norm(x.float()).to(x.dtype)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
