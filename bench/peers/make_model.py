#!/usr/bin/env python3
"""Writes the bf16 Hugging Face folders that both sides of the comparison load.

    make_model.py smollm2 FILE.gguf FOLDER     SmolLM2-135M-Instruct, dequantized by transformers
    make_model.py tinyllama FOLDER             TinyLlama-1.1B's shape with random weights
"""
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
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def tinyllama(folder):
    config = transformers.LlamaConfig(vocab_size=32000, hidden_size=2048, intermediate_size=5632, num_hidden_layers=22,
                                      num_attention_heads=32, num_key_value_heads=4, max_position_embeddings=2048,
                                      rms_norm_eps=1e-5)
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)


def main():
    kind, *rest = sys.argv[1:]
    folder = rest[-1]
    shutil.rmtree(folder + ".part", ignore_errors=True)
    {"smollm2": smollm2, "tinyllama": tinyllama}[kind](*rest[:-1], folder + ".part")
    os.rename(folder + ".part", folder)  # a folder that is there is complete


if __name__ == "__main__":
    main()
