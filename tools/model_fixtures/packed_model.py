"""Tiny Llamas in the quantized layouts of other libraries, with the logits and gradients of their dequantized weights.

bitsandbytes: saved by transformers and bitsandbytes themselves. GPTQ and AWQ: packed here from the published layouts
(GPTQModel 7.4.0, nn_modules/qlinear/__init__.py, pack_original; AutoAWQ 0.2.9, modules/linear/gemm.py, from_linear), in
a bit-stream way of its own; tools/check_packed.py compares it with their unpacking code.
"""
import copy
import os
import shutil

import numpy as np
import safetensors.torch
import torch
import transformers

import hf_dump

CONFIG = {"vocab_size": 97, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
          "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "rms_norm_eps": 1e-5,
          "max_position_embeddings": 64, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}
# Every number of bits, group size and symmetry has a module of its own; act-order differs by model.
DYNAMIC = {r"+:.*\.0\.self_attn\.q_proj": {"bits": 2, "group_size": 32},
           r".*\.0\.self_attn\.k_proj": {"bits": 3, "group_size": 64},
           r".*\.0\.self_attn\.v_proj": {"bits": 8, "group_size": 32},
           r".*\.0\.mlp\.gate_proj": {"bits": 3, "group_size": -1},
           r".*\.0\.mlp\.up_proj": {"bits": 4, "group_size": 32},
           r".*\.0\.mlp\.down_proj": {"bits": 3, "group_size": 32},
           r".*\.1\.self_attn\.(q|k)_proj": {"bits": 8, "group_size": -1},
           r".*\.1\.mlp\.gate_proj": {"bits": 2, "group_size": 64},
           r"-:.*\.1\.mlp\.up_proj": {}}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "damp_percent": 0.1, "dynamic": DYNAMIC, "lm_head": False}
PACKED_MODELS = {
    "llama_bnb": {"quant_method": "bitsandbytes"},
    "llama_gptq": {**GPTQ, "sym": True, "desc_act": False},  # version 1: no checkpoint_format
    "llama_gptq_v2": {**GPTQ, "sym": False, "desc_act": True, "checkpoint_format": "gptq_v2"},
    "llama_awq": {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True,
                  "modules_to_not_convert": ["model.layers.1.self_attn.v_proj"]},
}


def fields_to_words(values, bits):
    """[n, m] numbers to [n * bits / 32, m] words: one bit stream down each column, lowest bit first."""
    stream = (values[:, None, :] >> np.arange(bits)[None, :, None] & 1).reshape(-1, 32, values.shape[1])
    return (stream.astype(np.uint64) << np.arange(32, dtype=np.uint64)[None, :, None]).sum(1).astype(np.uint32).view(np.int32)


def awq_words(values):
    """[n, m] numbers of 4 bits to [n, m / 8] words: bits 4i hold element 0, 2, 4, 6, 1, 3, 5, 7 of eight."""
    eight = values.reshape(values.shape[0], -1, 8)[:, :, [0, 2, 4, 6, 1, 3, 5, 7]].astype(np.uint64)
    return (eight << (4 * np.arange(8, dtype=np.uint64))).sum(2).astype(np.uint32).view(np.int32)


def quantize_groups(weight, bits, group_of, symmetric):
    """Codes [in, out], zeros and scales [groups, out] of a matrix [out, in]."""
    top = 2**bits - 1
    codes = np.zeros(weight.T.shape, np.int64)
    zeros, scales = [], []
    for group in range(group_of.max() + 1):
        part = weight.T[group_of == group]
        low, high = np.minimum(part.min(0), 0), np.maximum(part.max(0), 0)
        if symmetric:
            high = np.maximum(-low, high)
            low = -high
        scale = np.maximum((high - low) / top, 1e-4).astype(np.float16)
        zero = np.full(scale.shape, (top + 1) // 2) if symmetric else np.round(-low / scale.astype(np.float32)).astype(np.int64)
        zero = np.clip(zero, 0, top)
        codes[group_of == group] = np.clip(np.round(part / scale.astype(np.float32)) + zero, 0, top)
        zeros.append(zero)
        scales.append(scale)
    return codes, np.stack(zeros), np.stack(scales)


def groups(columns, group_size, act_order, rng):
    size = columns if group_size == -1 else group_size
    group_of = np.arange(columns) // size
    return rng.permutation(group_of) if act_order else group_of


def dequantize(codes, zeros, scales, group_of):
    return (scales.astype(np.float32)[group_of] * (codes - zeros[group_of]).astype(np.float32)).T.copy()


def pack_gptq(weight, settings, rng):
    """Tensors by suffix, and what they stand for."""
    bits, act_order = settings["bits"], settings["desc_act"]
    group_of = groups(weight.shape[1], settings["group_size"], act_order, rng)
    codes, zeros, scales = quantize_groups(weight, bits, group_of, settings["sym"])
    version_1 = settings.get("checkpoint_format") != "gptq_v2"
    if version_1 and bits == 3:
        words = fields_to_words(((zeros - 1) & 7).T, bits)
    else:  # one subtraction for a whole word: a zero of 0 borrows from the next field
        words = fields_to_words(zeros.T, bits)
        if version_1:
            words = (words.view(np.uint32) - np.uint32((2**32 - 1) // (2**bits - 1))).view(np.int32)
    tensors = {"qweight": fields_to_words(codes, bits), "qzeros": np.ascontiguousarray(words.T), "scales": scales,
               "g_idx": group_of.astype(np.int32)}
    return tensors, dequantize(codes, zeros, scales, group_of)


def pack_awq(weight, settings, rng):
    group_of = groups(weight.shape[1], settings["group_size"], False, rng)
    codes, zeros, scales = quantize_groups(weight, 4, group_of, False)
    tensors = {"qweight": awq_words(codes), "qzeros": awq_words(zeros), "scales": scales}
    return tensors, dequantize(codes, zeros, scales, group_of)


def override(settings, module):
    """The settings of one module; None if it stays dense."""
    import re

    for key, values in settings.get("dynamic", {}).items():
        if re.match(key.removeprefix("+:").removeprefix("-:"), module):
            return None if key.startswith("-:") else {**settings, **values}
    return None if any(module.endswith(name) for name in settings.get("modules_to_not_convert", [])) else settings


def save_packed(folder, model, settings):
    """Writes the checkpoint and replaces the model's weights by what it holds."""
    rng = np.random.default_rng(5)
    tensors = {name: t.to(torch.float16) for name, t in model.state_dict().items()}
    for name, module in hf_dump.linear_modules(model):
        own = override(settings, name)
        if own is None:
            continue
        weight = module.weight.data.numpy()
        parts, values = (pack_awq if settings["quant_method"] == "awq" else pack_gptq)(weight, own, rng)
        del tensors[name + ".weight"]
        tensors.update({f"{name}.{suffix}": torch.from_numpy(part) for suffix, part in parts.items()})
        module.weight.data = torch.from_numpy(values)
    for name, parameter in model.named_parameters():
        if name in tensors:
            parameter.data = tensors[name].float()
    safetensors.torch.save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    model.config.dtype = torch.float16
    model.config.quantization_config = settings
    model.config.save_pretrained(folder)
    del model.config.quantization_config


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
    settings = PACKED_MODELS[name]
    if settings["quant_method"] == "bitsandbytes":
        save_bnb(folder, model)
    else:
        save_packed(folder, model, settings)
    model = model.float().eval()
    model.set_attn_implementation("eager")
    write_rows(os.path.join(folder, "rows.jsonl"), make_rows(DUMP_LENGTHS, CONFIG["vocab_size"], 17))
    rows = hf_dump.read_rows(os.path.join(folder, "rows.jsonl"))
    adapted = random_adapter(model, os.path.join(folder, "adapter_all"), {"target_modules": "all-linear", "r": 2, "lora_alpha": 5}, 23)
    safetensors.torch.save_file(hf_dump.dump(adapted, rows, gradients=True), os.path.join(folder, "expected_all.safetensors"))
    dumps = [{"name": "expected_all", "adapter": "adapter_all", "method": method, "base_format": held, "gradients": True,
              "hidden_states": False} for method, held in (("lora", "dense"), ("qlora", "keep"))]
    merged = [{"name": "expected_all", "adapters": {"adapter_all": 1.0}, "combination_type": "cat"}]
    write_json(os.path.join(folder, "parity.json"), {"rows": "rows.jsonl", "dumps": dumps, "training": [], "weighted": merged})
    size = sum(os.path.getsize(os.path.join(where, f)) for where, _, files in os.walk(folder) for f in files)
    print(f"{name}: {size} bytes", flush=True)
