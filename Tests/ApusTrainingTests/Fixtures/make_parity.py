#!/usr/bin/env python3
"""Writes the parity fixtures beside this script: tiny models and what PyTorch computes with them.

    python make_parity.py          needs torch, transformers, safetensors (versions are noted in parity.json)

Each folder of parity/ holds a Hugging Face model (config.json, model.safetensors: random, seeded, with random
biases and norm weights so that every gradient counts) and

  tokens.json            [step][row][position]: 20 batches of 3 rows of 38 token ids; the first 37 of a row
                         are the input, the last 37 the targets
  parity.json            20 steps of AdamW on those batches: the mean loss of each step before its update, and
                         the gradient norm before clipping; the same again from a copy of the model in
                         double precision (..._in_double), which tells rounding from error
  gradients.safetensors  the first step's gradients, not clipped, under the model's parameter names
  held_out.json          tokens that training does not see, cut into windows of 37 inputs whose targets are
                         the next tokens, and the loss of every token with the initial model
  greedy.json            40 tokens generated greedily from a prompt of 5 with the initial model, and the
                         smallest distance between the best and second best logit on the way

Everything is float32 on one CPU thread. The folder llama3-tied has its configuration in the form of published
Llama 3.2 models (rope_theta, rope_scaling); llama has the form that transformers 5 writes (rope_parameters).
"""

import copy
import json
import pathlib

import safetensors.torch
import torch
import transformers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

FOLDER = pathlib.Path(__file__).resolve().parent / "parity"
STEPS, ROWS, LENGTH, WINDOWS = 20, 3, 37, 5
PROMPTS, PROMPT_LENGTH, GENERATED, LEAST_MARGIN = 12, 5, 40, 1e-3
ADAMW = dict(lr=1e-3, betas=(0.9, 0.95), eps=1e-8)
WEIGHT_DECAY, CLIP = 0.1, 1.0  # decay on parameters of two dimensions only
WEIGHT_DEVIATION, NORM_DEVIATION, BIAS_DEVIATION = 0.16, 0.2, 0.1

NO_SPECIAL_TOKENS = dict(bos_token_id=None, eos_token_id=None, pad_token_id=None)
LLAMA = dict(
    vocab_size=307, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=6,
    num_key_value_heads=2, head_dim=8, max_position_embeddings=64, attn_implementation="eager",
    **NO_SPECIAL_TOKENS)
# With 8 numbers a head and 64 original positions, the four rotation frequencies meet all three cases of the
# rule: kept, blended, and divided by the factor.
LLAMA3_SCALING = dict(
    rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=64)


def gpt2():
    return GPT2LMHeadModel(GPT2Config(
        vocab_size=211, n_positions=64, n_embd=48, n_layer=2, n_head=2, resid_pdrop=0.0, embd_pdrop=0.0,
        attn_pdrop=0.0, attn_implementation="eager", **NO_SPECIAL_TOKENS))


def llama():
    return LlamaForCausalLM(LlamaConfig(
        rope_parameters=dict(rope_type="default", rope_theta=10000.0), tie_word_embeddings=False, **LLAMA))


def llama3_tied():
    return LlamaForCausalLM(LlamaConfig(
        rope_parameters=dict(rope_theta=10000.0, **LLAMA3_SCALING), tie_word_embeddings=True, **LLAMA))


def initialise(model, generator):
    """Random numbers for every parameter, biases and norm weights too."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim >= 2:
                parameter.copy_(WEIGHT_DEVIATION * noise)
            elif name.endswith("bias"):
                parameter.copy_(BIAS_DEVIATION * noise)
            else:
                parameter.copy_(1 + NORM_DEVIATION * noise)


def markov_stream(vocabulary, count, generator):
    """Token ids in which each id has four likely successors, so that there is something to learn."""
    successors = torch.randint(vocabulary, (vocabulary, 4), generator=generator).tolist()
    choices = torch.randint(5, (count,), generator=generator).tolist()
    anything = torch.randint(vocabulary, (count,), generator=generator).tolist()
    stream, token = [], 0
    for choice, other in zip(choices, anything):
        token = successors[token][choice] if choice < 4 else other
        stream.append(token)
    return stream


def token_losses(model, rows):
    """The loss of every predicted token; rows are one longer than the input."""
    logits = model(rows[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten(), reduction="none")


def train(model, batches):
    """Trains a copy. Returns the losses, the gradient norms, and the first step's gradients."""
    model = copy.deepcopy(model).train()
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW([
        dict(params=[p for p in parameters if p.ndim >= 2], weight_decay=WEIGHT_DECAY),
        dict(params=[p for p in parameters if p.ndim < 2], weight_decay=0.0),
    ], **ADAMW)
    losses, norms, first_gradients = [], [], None
    for batch in batches:
        optimizer.zero_grad()
        loss = token_losses(model, batch).mean()
        loss.backward()
        if first_gradients is None:
            first_gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
        losses.append(loss.item())
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, CLIP).item())
        optimizer.step()
    return losses, norms, first_gradients


def generate_greedily(model, prompt):
    """Generates with transformers, and checks the result against a plain loop that also finds the margin."""
    ids = torch.tensor([prompt])
    generated = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=GENERATED, do_sample=False)[0].tolist()
    sequence, margin = list(prompt), float("inf")
    with torch.no_grad():
        while len(sequence) < len(generated):
            best = model(torch.tensor([sequence]), use_cache=False).logits[0, -1].topk(2)
            margin = min(margin, (best.values[0] - best.values[1]).item())
            sequence.append(best.indices[0].item())
    assert sequence == generated
    return dict(prompt=prompt, generated=generated[len(prompt):], smallest_margin=margin)


def write_json(path, content):
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n")


def use_published_form(path):
    """Rewrites rope_parameters as the rope_theta and rope_scaling of published Llama 3 configurations."""
    content = json.loads(path.read_text())
    content["rope_scaling"] = content.pop("rope_parameters")
    content["rope_theta"] = content["rope_scaling"].pop("rope_theta")
    content["torch_dtype"] = content.pop("dtype")
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def write_fixture(name, make_model, seed, published_form=False):
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    model = make_model().eval()
    initialise(model, generator)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if published_form:
        use_published_form(folder / "config.json")

    vocabulary = model.config.vocab_size
    row, window_tokens = LENGTH + 1, WINDOWS * LENGTH + 1
    stream = markov_stream(
        vocabulary, STEPS * ROWS * row + window_tokens + PROMPTS * PROMPT_LENGTH, generator)
    batches = torch.tensor(stream[:STEPS * ROWS * row]).view(STEPS, ROWS, row)
    held_out = stream[STEPS * ROWS * row:][:window_tokens]
    prompts = torch.tensor(stream[-PROMPTS * PROMPT_LENGTH:]).view(PROMPTS, PROMPT_LENGTH).tolist()
    write_json(folder / "tokens.json", batches.tolist())

    losses, norms, gradients = train(model, batches)
    losses_in_double, norms_in_double, _ = train(copy.deepcopy(model).double(), batches)
    safetensors.torch.save_file(gradients, folder / "gradients.safetensors")
    (folder / "parity.json").write_text(json.dumps(dict(
        torch=torch.__version__, transformers=transformers.__version__, learning_rate=ADAMW["lr"],
        betas=ADAMW["betas"], epsilon=ADAMW["eps"], weight_decay=WEIGHT_DECAY, gradient_clip=CLIP,
        losses=losses, gradient_norms=norms, losses_in_double=losses_in_double,
        gradient_norms_in_double=norms_in_double), indent=1) + "\n")

    windows = torch.tensor([held_out[i * LENGTH:][:row] for i in range(WINDOWS)])
    with torch.no_grad():
        held_out_losses = token_losses(model, windows)
    write_json(folder / "held_out.json", dict(
        sequence_length=LENGTH, tokens=held_out, losses=held_out_losses.tolist(),
        mean_loss=held_out_losses.mean().item()))
    # The prompt with the most varied answer, among those whose answer no rounding can change.
    answers = [generate_greedily(model, prompt) for prompt in prompts]
    greedy = max((a for a in answers if a["smallest_margin"] >= LEAST_MARGIN),
                 key=lambda answer: len(set(answer["generated"])))
    write_json(folder / "greedy.json", greedy)

    # What was written must be what was computed with, and every gradient must count.
    loaded = type(model).from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        assert token_losses(loaded, batches[0]).mean().item() == losses[0]
    weakest = min(gradients, key=lambda key: gradients[key].norm() / gradients[key].numel() ** 0.5)
    share = gradients[weakest].norm().item() / norms[0]
    drift = max(abs(a - b) for a, b in zip(losses, losses_in_double))
    print(f"{name}: loss {losses[0]:.6f} to {losses[-1]:.6f} (double precision: within {drift:.1e}), "
          f"gradient norms {min(norms):.3f} to {max(norms):.3f}, of it {weakest} {share:.1e}, "
          f"held out {held_out_losses.mean():.4f}, "
          f"generated {len(set(greedy['generated']))} different tokens "
          f"by {greedy['smallest_margin']:.1e}")


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.set_verbosity_error()
    write_fixture("gpt2", gpt2, seed=1)
    write_fixture("llama", llama, seed=2)
    write_fixture("llama3-tied", llama3_tied, seed=3, published_form=True)


if __name__ == "__main__":
    main()
