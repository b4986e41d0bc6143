"""Makes the Hugging Face folders and the safetensors file in this directory, with transformers.

    python make_folders.py

Each folder gets a `first-values.json`: for every parameter the first two and the last number as float32.
"""

import json
import pathlib
import shutil

import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Model, LlamaConfig, LlamaForCausalLM

here = pathlib.Path(__file__).parent


def save(model, name, **options):
  folder = here / name
  shutil.rmtree(folder, ignore_errors=True)
  model.save_pretrained(folder, **options)
  values = {}
  for key, tensor in model.state_dict().items():
    flat = tensor.float().flatten()
    values[key] = [flat[0].item(), flat[1].item(), flat[-1].item()]
  (folder / "first-values.json").write_text(json.dumps(values, indent=1))


gpt2 = dict(vocab_size=11, n_positions=6, n_embd=8, n_layer=2, n_head=2, bos_token_id=3, eos_token_id=3)
llama = dict(
  vocab_size=13, hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=4,
  num_key_value_heads=2, head_dim=4, max_position_embeddings=64, rms_norm_eps=1e-5, pad_token_id=0)
stretched = dict(
  rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
  original_max_position_embeddings=32)

torch.manual_seed(1)
save(GPT2LMHeadModel(GPT2Config(**gpt2)), "gpt2-tied")
save(GPT2LMHeadModel(GPT2Config(**gpt2, n_inner=20, tie_word_embeddings=False)), "gpt2-untied")
save(GPT2Model(GPT2Config(**gpt2)).to(torch.bfloat16), "gpt2-without-prefix-bfloat16")
save(LlamaForCausalLM(LlamaConfig(**llama, rope_parameters=stretched)), "llama-untied-stretched")
save(
  LlamaForCausalLM(LlamaConfig(**llama, tie_word_embeddings=True)).to(torch.float16),
  "llama-tied-sharded-float16", max_shard_size="2KB")

# The same numbers in every type that can be read, and what PyTorch makes of them as float32.
numbers = torch.tensor([0.0, -0.0, 1.0, -2.5, 65504.0, 6e-8, 3.3e-5, 0.1, 1e30, -1e-30, float("inf")])
tensors = {}
for name, dtype in dict(F32=torch.float32, F64=torch.float64, BF16=torch.bfloat16, F16=torch.float16).items():
  stored = (numbers.double() * 1.0000001).to(dtype)
  tensors[name] = stored
  tensors[name + ".as-float32"] = stored.to(torch.float32).clone()
tensors["I64"] = torch.tensor([[1, 2], [3, 4]])
tensors["scalar"] = torch.tensor(7.0)
tensors["empty"] = torch.zeros(0, 3)
save_file(tensors, here / "types.safetensors", metadata={"format": "pt", "note": 'quotes " and \u00e9'})
