#!/usr/bin/env python3
"""Writes what `lorikeet debug dump` writes, computed by transformers and PEFT: the other side of `lorikeet debug diff`.

    python tools/hf_dump.py --model M [--adapter A] [--method qlora [--no-double-quant] [--blocksize 64]]
                            --data tokenized.jsonl --output dump.safetensors [--gradients] [--hidden-states]

float32, eager attention, each row by itself. The loss is the sum over all target tokens of all rows divided by their
number. Method qlora takes codes and scales from bitsandbytes and decodes them by definition (flat blocks), because
bitsandbytes' CPU kernel decodes some row lengths wrongly.

Pinned: Python 3.11, torch 2.15.0, transformers 5.23.0, peft 0.21.2, bitsandbytes 0.50.2, safetensors 0.8.0.
"""
import argparse
import json

import safetensors.torch
import torch
import transformers
from torch.nn import functional

PEFT_PREFIX = "base_model.model."


def read_rows(path):
    """(input_ids, labels) of each line; without labels every token is one."""
    rows = []
    with open(path) as f:
        for line in f:
            row = json.loads(line)
            rows.append((row["input_ids"], row.get("labels") or list(row["input_ids"])))
    return rows


def target_count(rows):
    """Targets of rows: the label of a row's first token is none."""
    return sum(sum(label != -100 for label in labels[1:]) for _, labels in rows)


def nf4_round_trip(weight, blocksize=64, double_quant=True, quant_type="nf4"):
    """The weight after 4-bit quantization, decoded by definition in float32."""
    import bitsandbytes.functional as bnb

    codes, state = bnb.quantize_4bit(weight.detach().contiguous(), blocksize=blocksize, quant_type=quant_type,
                                     compress_statistics=double_quant)
    codes = codes.flatten()
    nibbles = torch.stack([codes >> 4, codes & 15], 1).flatten()[: weight.numel()].long()
    if double_quant:
        groups = state.state2.absmax.repeat_interleave(256)[: state.absmax.numel()]
        absmax = state.state2.code[state.absmax.long()] * groups + state.offset
    else:
        absmax = state.absmax
    scales = absmax.float().repeat_interleave(blocksize)[: weight.numel()]
    table = bnb.get_4bit_type(quant_type, device="cpu").float()
    return (table[nibbles] * scales).reshape(weight.shape)


def linear_modules(model):
    """What PEFT's "all-linear" means: every linear layer but the output head."""
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    for name, module in model.named_modules():
        if isinstance(module, (torch.nn.Linear, Conv1D)) and module is not head:
            yield name, module


def expert_matrices(model):
    """The matrices of experts, which transformers holds in two tensors per layer: gate over up, and down."""
    for name, parameter in model.named_parameters():
        if name.endswith("experts.gate_up_proj"):
            for both in parameter.data:
                yield from both.chunk(2)
        elif name.endswith("experts.down_proj"):
            yield from parameter.data


def quantize_linears(model, **options):
    """Replaces the weights of all linear layers but the head by what 4 bits leave of them, experts included."""
    for matrix in expert_matrices(model):
        matrix.copy_(nf4_round_trip(matrix, **options))
    for _, module in linear_modules(model):
        transposed = not isinstance(module, torch.nn.Linear)
        weight = module.weight.data.t() if transposed else module.weight.data
        weight = nf4_round_trip(weight, **options)
        module.weight.data = weight.t().contiguous() if transposed else weight


def load_model(folder, adapter=None, quantization=None):
    """The model in float32 with eager attention; with an adapter only its factors require gradients."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                                              experts_implementation="eager")
    if quantization is not None:
        quantize_linears(model, **quantization)
    if adapter:
        import peft

        model = peft.PeftModel.from_pretrained(model, adapter, is_trainable=True)
    # Dropout off, and no auxiliary losses or caches.
    return model.eval()


def row_losses(model, ids, labels, **options):
    """Sum of the token losses of one row, and the model's output."""
    out = model(input_ids=torch.tensor([ids]), use_cache=False, **options)
    logits = out.logits[0].float()
    loss = functional.cross_entropy(logits[:-1], torch.tensor(labels[1:]), ignore_index=-100, reduction="sum")
    return loss, out


# Parameters that transformers holds under another name than its files.
FILE_NAMES = {"gpt_neox": {"lm_head.weight": "embed_out.weight"}}


def tensor_name(name, is_adapter, model_type):
    """The name of a parameter as files have it."""
    if not is_adapter:
        return FILE_NAMES.get(model_type, {}).get(name, name)
    name = name.replace("lora_magnitude_vector.default.weight", "lora_magnitude_vector")
    name = name.replace(".modules_to_save.default", "")
    return name.replace(".default.weight", ".weight").replace(".default", "")


def dump(model, rows, gradients=False, hidden_states=False):
    """The tensors of a dump."""
    tensors, total, count = {}, 0.0, target_count(rows)
    model.zero_grad(set_to_none=True)
    for number, (ids, labels) in enumerate(rows):
        with torch.set_grad_enabled(gradients):
            loss, out = row_losses(model, ids, labels, output_hidden_states=hidden_states)
        if gradients:
            (loss / count).backward()
        total += loss.item()
        tensors[f"logits.{number}"] = out.logits[0].detach().float()
        for layer, hidden in enumerate(out.hidden_states if hidden_states else []):
            tensors[f"hidden.{layer}.{number}"] = hidden[0].detach()
    tensors["loss"] = torch.tensor([total / count])
    if gradients:
        is_adapter = hasattr(model, "peft_config")
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and parameter.grad is not None:
                tensors["grad." + tensor_name(name, is_adapter, model.config.model_type)] = parameter.grad
    return {name: tensor.contiguous().clone() for name, tensor in tensors.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--adapter")
    parser.add_argument("--method", default="lora", choices=["lora", "qlora", "full"])
    parser.add_argument("--no-double-quant", action="store_true")
    parser.add_argument("--blocksize", type=int, default=64)
    parser.add_argument("--data", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--gradients", action="store_true")
    parser.add_argument("--hidden-states", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    quantization = {"blocksize": args.blocksize, "double_quant": not args.no_double_quant}
    model = load_model(args.model, args.adapter, quantization if args.method == "qlora" else None)
    tensors = dump(model, read_rows(args.data), args.gradients, args.hidden_states)
    safetensors.torch.save_file(tensors, args.output)


if __name__ == "__main__":
    main()
