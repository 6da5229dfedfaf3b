#!/usr/bin/env python3
"""Writes the bf16 Hugging Face folders that both sides of the comparison load.

    make_model.py smollm2 FILE.gguf FOLDER     SmolLM2-135M-Instruct, dequantized by transformers
    make_model.py tinyllama FOLDER             TinyLlama-1.1B's shape with random weights
    make_model.py llama2-7b FOLDER             Llama-2-7B's shape with random weights, 13.5 GB
"""
import json
import os
import shutil
import sys

import torch
import transformers


def smollm2(path, folder):
    source = {"pretrained_model_name_or_path": os.path.dirname(os.path.abspath(path)), "gguf_file": os.path.basename(path)}
    model = transformers.AutoModelForCausalLM.from_pretrained(**source, dtype=torch.bfloat16)
    tokenizer = transformers.AutoTokenizer.from_pretrained(**source)
    # The weights are dense by now; only these marks still say that they come from a GGUF file.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.config.max_position_embeddings = 16384  # rows that long are measured, not understood
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def tinyllama(folder):
    config = transformers.LlamaConfig(vocab_size=32000, hidden_size=2048, intermediate_size=5632, num_hidden_layers=22,
                                      num_attention_heads=32, num_key_value_heads=4, max_position_embeddings=2048,
                                      rms_norm_eps=1e-5)
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)


def llama2_7b(folder):
    """One shard a block, so that never more than a block is in memory."""
    import safetensors.torch

    config = transformers.LlamaConfig(vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32,
                                      num_attention_heads=32, num_key_value_heads=32, max_position_embeddings=4096,
                                      rms_norm_eps=1e-5, dtype="bfloat16", architectures=["LlamaForCausalLM"])
    config.save_pretrained(folder)
    hidden, inner = config.hidden_size, config.intermediate_size
    squares = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"]
    block = {f"{name}.weight": (hidden, hidden) for name in squares}
    block |= {"mlp.gate_proj.weight": (inner, hidden), "mlp.up_proj.weight": (inner, hidden),
              "mlp.down_proj.weight": (hidden, inner), "input_layernorm.weight": (hidden,),
              "post_attention_layernorm.weight": (hidden,)}
    ends = {"model.embed_tokens.weight": (config.vocab_size, hidden), "lm_head.weight": (config.vocab_size, hidden),
            "model.norm.weight": (hidden,)}
    shards = [ends] + [{f"model.layers.{i}.{name}": shape for name, shape in block.items()}
                       for i in range(config.num_hidden_layers)]
    random, index, total = torch.Generator().manual_seed(0), {}, 0
    for i, shapes in enumerate(shards):
        name = f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        tensors = {key: torch.ones(shape, dtype=torch.bfloat16) if len(shape) == 1 else
                   torch.empty(shape, dtype=torch.bfloat16).normal_(0, 0.02, generator=random)
                   for key, shape in shapes.items()}
        safetensors.torch.save_file(tensors, os.path.join(folder, name), metadata={"format": "pt"})
        index |= dict.fromkeys(tensors, name)
        total += sum(2 * t.numel() for t in tensors.values())
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as f:
        json.dump({"metadata": {"total_size": total}, "weight_map": index}, f)


def main():
    kind, *rest = sys.argv[1:]
    folder = rest[-1]
    shutil.rmtree(folder + ".part", ignore_errors=True)
    makers = {"smollm2": smollm2, "tinyllama": tinyllama, "llama2-7b": llama2_7b}
    makers[kind](*rest[:-1], folder + ".part")
    os.rename(folder + ".part", folder)  # a folder that is there is complete


if __name__ == "__main__":
    main()
