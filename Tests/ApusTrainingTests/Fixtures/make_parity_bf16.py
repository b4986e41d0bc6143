#!/usr/bin/env python3
"""Adds to the parity fixtures what PyTorch computes under autocast in bfloat16.

    python make_parity_bf16.py     after make_parity.py; needs the same packages

Into the folders gpt2 and llama of parity/:

  parity_bf16.json            20 steps of AdamW from the folder's weights on the folder's batches, under
                              torch.autocast("cpu", torch.bfloat16): float32 parameters, bfloat16 products, and
                              what PyTorch keeps in float32 (the residual stream, losses); the mean loss of each
                              step before its update, and the gradient norm before clipping
  gradients_bf16.safetensors  the first step's gradients, float32, not clipped, under the model's names
"""

import json

import safetensors.torch
import torch
import transformers
from transformers import AutoModelForCausalLM

import make_parity


def under_autocast(function):
    def wrapped(*arguments):
        with torch.autocast("cpu", torch.bfloat16):
            return function(*arguments)
    return wrapped


def write_fixture(name):
    folder = make_parity.FOLDER / name
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").float()
    batches = torch.tensor(json.loads((folder / "tokens.json").read_text()))
    exact = json.loads((folder / "parity.json").read_text())
    losses, norms, gradients = make_parity.train(model, batches)
    safetensors.torch.save_file(gradients, folder / "gradients_bf16.safetensors")
    (folder / "parity_bf16.json").write_text(json.dumps(dict(
        torch=torch.__version__, transformers=transformers.__version__, losses=losses,
        gradient_norms=norms), indent=1) + "\n")
    drift = max(abs(a - b) / b for a, b in zip(losses, exact["losses_in_double"]))
    fp32 = safetensors.torch.load_file(folder / "gradients.safetensors")
    errors = {key: ((gradients[key] - fp32[key]).norm() / fp32[key].norm()).item() for key in fp32}
    print(f"{name}: loss {losses[0]:.6f}, in double {exact['losses_in_double'][0]:.6f}; losses within "
          f"{drift:.1e}; gradients within {max(errors.values()):.1e} of float32's, "
          f"{sorted(errors.values())[len(errors) // 2]:.1e} in the middle")


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.set_verbosity_error()
    # Losses are computed in float32 from bfloat16 logits, as autocast does; backward runs outside.
    make_parity.token_losses = under_autocast(make_parity.token_losses)
    for name in ["gpt2", "llama"]:
        write_fixture(name)


if __name__ == "__main__":
    main()
