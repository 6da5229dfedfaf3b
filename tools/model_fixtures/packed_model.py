"""Tiny Llamas in the quantized layouts of other libraries, with the logits and gradients of their dequantized weights.

bitsandbytes: saved by transformers and bitsandbytes themselves.
"""
import copy
import os
import shutil

import safetensors.torch
import torch
import transformers

import hf_dump

CONFIG = {"vocab_size": 97, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
          "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "rms_norm_eps": 1e-5,
          "max_position_embeddings": 64, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}
PACKED_MODELS = {"llama_bnb": {"quant_method": "bitsandbytes"}}


def save_bnb(folder, model):
    """Quantized and saved by transformers; the model's weights become what the file holds, decoded by definition."""
    dense = folder + ".dense"
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(dense)  # a copy: the rotary table must stay float32
    config = transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                                             bnb_4bit_quant_storage=torch.bfloat16)
    transformers.AutoModelForCausalLM.from_pretrained(dense, dtype=torch.bfloat16,
                                                      quantization_config=config).save_pretrained(folder)
    shutil.rmtree(dense)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16).float()
    hf_dump.quantize_linears(model)


def make_packed(models, name):
    from make_model_fixtures import DUMP_LENGTHS, make_rows, random_adapter, randomize, write_json, write_rows

    folder = os.path.join(models, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**CONFIG, architectures=["LlamaForCausalLM"]))
    randomize(model, 17)
    save_bnb(folder, model)
    model = model.float().eval()
    model.set_attn_implementation("eager")
    write_rows(os.path.join(folder, "rows.jsonl"), make_rows(DUMP_LENGTHS, CONFIG["vocab_size"], 17))
    rows = hf_dump.read_rows(os.path.join(folder, "rows.jsonl"))
    adapted = random_adapter(model, os.path.join(folder, "adapter_all"), {"target_modules": "all-linear", "r": 2, "lora_alpha": 5}, 23)
    safetensors.torch.save_file(hf_dump.dump(adapted, rows, gradients=True), os.path.join(folder, "expected_all.safetensors"))
    dumps = [{"name": "expected_all", "adapter": "adapter_all", "method": method, "base_format": held, "gradients": True,
              "hidden_states": False} for method, held in (("lora", "dense"), ("qlora", "keep"))]
    write_json(os.path.join(folder, "parity.json"), {"rows": "rows.jsonl", "dumps": dumps, "training": []})
    size = sum(os.path.getsize(os.path.join(where, f)) for where, _, files in os.walk(folder) for f in files)
    print(f"{name}: {size} bytes", flush=True)
