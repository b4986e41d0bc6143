"""The benchmark's models in plain PyTorch: what a PyTorch user would write for speed on a CPU.

Query, key and value (gate and up) are one product, attention is PyTorch's fused kernel, and the head shares
the embedding's weights. Nothing is computed that a training step does not need.
"""

import torch
from torch import nn
from torch.nn import functional as F

# The same shapes as Apus's presets of these names.
CONFIGURATIONS = {
    "gpt2-124m": dict(
        family="gpt2", vocabulary=50257, positions=1024, layers=12, hidden=768, heads=12, intermediate=3072),
    "llama-110m": dict(
        family="llama", vocabulary=32000, positions=1024, layers=12, hidden=768, heads=12, intermediate=2048),
}


def rotate(x, cosine, sine):
    """Rotates the two halves of each head (the layout of Llama's published weights)."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)


class Attention(nn.Module):
    def __init__(self, hidden, heads, bias):
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(hidden, 3 * hidden, bias=bias)
        self.output = nn.Linear(hidden, hidden, bias=bias)

    def forward(self, x, rotation):
        batch, length, hidden = x.shape
        joined = self.query_key_value(x).view(batch, length, 3, self.heads, hidden // self.heads)
        query, key, value = joined.permute(2, 0, 3, 1, 4)
        if rotation is not None:
            query, key = rotate(query, *rotation), rotate(key, *rotation)
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.output(attended.transpose(1, 2).reshape(batch, length, hidden))


class GELUFeedForward(nn.Module):
    def __init__(self, hidden, intermediate):
        super().__init__()
        self.up, self.down = nn.Linear(hidden, intermediate), nn.Linear(intermediate, hidden)

    def forward(self, x):
        return self.down(F.gelu(self.up(x), approximate="tanh"))


class SwiGLUFeedForward(nn.Module):
    def __init__(self, hidden, intermediate):
        super().__init__()
        self.gate_up = nn.Linear(hidden, 2 * intermediate, bias=False)
        self.down = nn.Linear(intermediate, hidden, bias=False)

    def forward(self, x):
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class Block(nn.Module):
    def __init__(self, family, hidden, heads, intermediate):
        super().__init__()
        gpt2 = family == "gpt2"
        norm = (lambda: nn.LayerNorm(hidden)) if gpt2 else (lambda: nn.RMSNorm(hidden, eps=1e-5))
        feed_forward = GELUFeedForward if gpt2 else SwiGLUFeedForward
        self.first_norm, self.second_norm = norm(), norm()
        self.attention = Attention(hidden, heads, bias=gpt2)
        self.feed_forward = feed_forward(hidden, intermediate)

    def forward(self, x, rotation):
        x = x + self.attention(self.first_norm(x), rotation)
        return x + self.feed_forward(self.second_norm(x))


class LanguageModel(nn.Module):
    """Returns the mean loss of predicting `targets`; both arguments are batch x length token ids."""

    def __init__(self, family, vocabulary, positions, layers, hidden, heads, intermediate):
        super().__init__()
        gpt2 = family == "gpt2"
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.positions = nn.Embedding(positions, hidden) if gpt2 else None
        self.blocks = nn.ModuleList(Block(family, hidden, heads, intermediate) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden) if gpt2 else nn.RMSNorm(hidden, eps=1e-5)
        self.head = nn.Linear(hidden, vocabulary, bias=False)
        for parameter in self.parameters():
            if parameter.ndim >= 2:
                nn.init.normal_(parameter, std=0.02)
        self.head.weight = self.embedding.weight
        if not gpt2:
            frequencies = 10000.0 ** (-torch.arange(0, hidden // heads, 2) / (hidden // heads))
            angles = torch.outer(torch.arange(positions), frequencies)
            self.register_buffer("cosine", angles.cos(), persistent=False)
            self.register_buffer("sine", angles.sin(), persistent=False)

    def forward(self, inputs, targets):
        length = inputs.shape[1]
        x, rotation = self.embedding(inputs), None
        if self.positions is not None:
            x = x + self.positions.weight[:length]
        else:
            rotation = self.cosine[:length], self.sine[:length]
        for block in self.blocks:
            x = block(x, rotation)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())
