"""PyTorch's 16-bit matrix products, computed block by block in float32.

On a processor without 16-bit instructions PyTorch's own bf16 products run at a few percent of the float32
speed. The peak memory of a large step can still be measured in minutes: the same tensors exist, with three
blocks of 1,024 x 1,024 floats beside them, and only the time of the products is not PyTorch's.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

BLOCK = 1024


def product(a, b, out):
    """out = a b, for 16-bit matrices; sums are float32 and rounded once."""
    (m, k), n = a.shape, b.shape[1]
    for row in range(0, m, BLOCK):
        for column in range(0, n, BLOCK):
            total = None
            for inner in range(0, k, BLOCK):
                left = a[row:row + BLOCK, inner:inner + BLOCK].float()
                right = b[inner:inner + BLOCK, column:column + BLOCK].float()
                total = left @ right if total is None else total.addmm_(left, right)
            out[row:row + BLOCK, column:column + BLOCK] = total
    return out


class BlockProducts(TorchDispatchMode):
    """While active, bf16 `mm` and `addmm` go through `product`; everything else is PyTorch's."""

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        keywords = keywords or {}
        if function is torch.ops.aten.mm.default and arguments[0].dtype == torch.bfloat16:
            a, b = arguments
            return product(a, b, a.new_empty(a.shape[0], b.shape[1]))
        if function is torch.ops.aten.addmm.default and arguments[1].dtype == torch.bfloat16:
            bias, a, b = arguments
            return product(a, b, a.new_empty(a.shape[0], b.shape[1])).add_(bias)
        return function(*arguments, **keywords)
