"""Tiny models of other families as llama.cpp stores them: tensor names from the gguf package's own table, q and k rows
permuted only where llama.cpp's converter permutes them, fused query_key_value rows sorted into queries, keys and values,
Gemma's norm weights stored + 1, all experts of a layer in one tensor. Element types are dense but for some experts; the
block formats are the business of gguf_model.py.

The expected logits are those of the stored weights, in Hugging Face's order, run by transformers.
"""
import json
import math
import os
import shutil

import gguf
import numpy as np
import safetensors.torch
import torch
import transformers

import hf_dump
from model_fixtures.families import FALCON, GPT2, QWEN3_MOE, ROPE, SMALL
from model_fixtures.gguf_model import permute

WIDE = {**SMALL, "hidden_size": 24}
del WIDE["head_dim"]
# name -> (class, GGUF architecture, configuration)
GGUF_FAMILIES = {
    "qwen2_gguf": ("Qwen2", "QWEN2", {**WIDE, "tie_word_embeddings": True}),
    "qwen3_gguf": ("Qwen3", "QWEN3", SMALL),
    "gemma_gguf": ("Gemma", "GEMMA", {**SMALL, "hidden_act": "gelu_pytorch_tanh"}),
    "gemma2_gguf": ("Gemma2", "GEMMA2", {**SMALL, "sliding_window": 4, "query_pre_attn_scalar": 6,
                                         "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0}),
    "gemma3_gguf": ("Gemma3", "GEMMA3", {**SMALL, "num_hidden_layers": 6, "hidden_size": 12, "num_attention_heads": 2,
                                         "num_key_value_heads": 1, "sliding_window": 4, "query_pre_attn_scalar": 6,
                                         "rope_parameters": {
                                             "full_attention": {"rope_type": "linear", "rope_theta": 900.0, "factor": 2.0},
                                             "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}}),
    "olmo2_gguf": ("Olmo2", "OLMO2", WIDE),
    "granite_gguf": ("Granite", "GRANITE", {**WIDE, "embedding_multiplier": 3.0, "residual_multiplier": 0.4,
                                            "attention_multiplier": 0.3, "logits_scaling": 2.0}),
    "phi3_gguf": ("Phi3", "PHI3", {**WIDE, "sliding_window": 4, "pad_token_id": 0}),
    "starcoder2_gguf": ("Starcoder2", "STARCODER2", {**WIDE, "sliding_window": 4}),
    "gpt2_gguf": ("GPT2", "GPT2", GPT2),
    "mixtral_gguf": ("Mixtral", "LLAMA", {**WIDE, "hidden_size": 32, "intermediate_size": 64, "num_local_experts": 4,
                                          "num_experts_per_tok": 2}),
    "smollm3_gguf": ("SmolLM3", "SMOLLM3", {**WIDE, "num_hidden_layers": 5, "pad_token_id": 0, "bos_token_id": 1,
                                            "eos_token_id": 2}),
    "stablelm_gguf": ("StableLm", "STABLELM", {**WIDE, "hidden_size": 32, "rope_parameters": {
        **ROPE, "partial_rotary_factor": 0.25}}),
    "cohere_gguf": ("Cohere", "COMMAND_R", {**WIDE, "logit_scale": 0.25}),
    "phi_gguf": ("Phi", "PHI2", {**WIDE, "hidden_size": 32, "rope_parameters": {**ROPE, "partial_rotary_factor": 0.5}}),
    "gpt_neox_gguf": ("GPTNeoX", "GPTNEOX", {
        "vocab_size": 67, "hidden_size": 24, "intermediate_size": 27, "num_hidden_layers": 2, "num_attention_heads": 3,
        "max_position_embeddings": 64, "rope_parameters": {**ROPE, "partial_rotary_factor": 0.25}}),
    "falcon_gguf": ("Falcon", "FALCON", {**FALCON, "multi_query": True, "parallel_attn": True}),
    "falcon_new_gguf": ("Falcon", "FALCON", {**FALCON, "new_decoder_architecture": True, "num_kv_heads": 2}),
    "llama_yarn_gguf": ("Llama", "LLAMA", {**SMALL, "rope_parameters": {
        **ROPE, "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 2.0}}),
    "phi3_longrope_gguf": ("Phi3", "PHI3", {**WIDE, "pad_token_id": 0, "original_max_position_embeddings": 7,
                                            "rope_parameters": {**ROPE, "rope_type": "longrope",
                                                                "short_factor": [1.0, 1.1, 1.3],
                                                                "long_factor": [1.5, 2.0, 4.0]}}),
    "qwen3_moe_gguf": ("Qwen3Moe", "QWEN3MOE", {**SMALL, **QWEN3_MOE, "norm_topk_prob": True}),
}
QUANTIZED_EXPERTS = {"mixtral_gguf"}  # their rows are whole blocks of Q8_0
PERMUTED = {"GRANITE", "LLAMA", "SMOLLM3"}
FUSED = {"FALCON", "GPTNEOX"}
NORMS_PLUS_ONE = {"GEMMA", "GEMMA2", "GEMMA3"}


def key_heads(config):
    """Of Falcon 7B one, whatever its configuration says; of GPT-NeoX as many as queries."""
    if isinstance(config, transformers.FalconConfig):
        return config.num_kv_heads if config.new_decoder_architecture else 1
    return getattr(config, "num_key_value_heads", config.num_attention_heads)


def add_norm(writer, config):
    for field in ("layer_norm_epsilon", "layer_norm_eps", "norm_epsilon"):
        if hasattr(config, field):
            writer.add_layer_norm_eps(getattr(config, field))
    if hasattr(config, "rms_norm_eps"):
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)


def add_rope(writer, config, head_dim):
    rope = config.rope_parameters.get("full_attention", config.rope_parameters)
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope.get("partial_rotary_factor", 1.0) != 1.0:
        writer.add_rope_dimension_count(int(rope["partial_rotary_factor"] * head_dim))
    if rope["rope_type"] in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
    if rope["rope_type"] == "longrope":
        original = config.original_max_position_embeddings
        scale = config.max_position_embeddings / original
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)))
        for kind in ("long", "short"):
            writer.add_tensor(f"rope_factors_{kind}.weight", np.array(rope[kind + "_factor"], dtype=np.float32))


def add_metadata(writer, config):
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    if isinstance(config, transformers.GPT2Config):
        writer.add_feed_forward_length(config.n_inner)
        add_norm(writer, config)
        return
    writer.add_feed_forward_length(getattr(config, "intermediate_size", None) or config.ffn_hidden_size)
    writer.add_head_count_kv(key_heads(config))
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    add_norm(writer, config)
    add_rope(writer, config, head_dim)
    for field, add in (("sliding_window", writer.add_sliding_window),
                       ("attn_logit_softcapping", writer.add_attn_logit_softcapping),
                       ("final_logit_softcapping", writer.add_final_logit_softcapping),
                       ("embedding_multiplier", writer.add_embedding_scale),
                       ("residual_multiplier", writer.add_residual_scale),
                       ("attention_multiplier", writer.add_attention_scale),
                       ("logits_scaling", writer.add_logit_scale),
                       ("logit_scale", writer.add_logit_scale),
                       ("use_parallel_residual", writer.add_parallel_residual),
                       ("num_local_experts", writer.add_expert_count),
                       ("num_experts_per_tok", writer.add_expert_used_count),
                       ("moe_intermediate_size", writer.add_expert_feed_forward_length)):
        value = getattr(config, field, None)
        if value is not None:
            add(value)


def sort_fused(values, heads, keys):
    """Rows by key head (its queries, the key, the value) as all queries, all keys, all values."""
    head_dim = values.shape[0] // (heads + 2 * keys)
    groups = values.reshape(keys, heads // keys + 2, head_dim, *values.shape[1:])
    parts = (groups[:, :-2], groups[:, -2:-1], groups[:, -1:])
    return np.concatenate([part.reshape(-1, *values.shape[1:]) for part in parts])


def quantize_experts(model):
    """Gives the experts values that Q8_0 holds exactly."""
    for parameter in hf_dump.expert_matrices(model):
        blocks = gguf.quants.quantize(parameter.numpy(), gguf.GGMLQuantizationType.Q8_0)
        parameter.copy_(torch.from_numpy(gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType.Q8_0)))


def add_tensors(writer, names, hf_name, values, dense_type):
    """One tensor, or the two that the experts' gate_up_proj is in a file."""
    layer, _, kind = hf_name.rpartition(".mlp.experts.")
    block = "blk." + layer.rpartition(".")[2]
    if kind == "gate_up_proj":
        gate, up = np.split(values, 2, axis=1)
        named = {block + ".ffn_gate_exps.weight": gate, block + ".ffn_up_exps.weight": up}
    elif kind == "down_proj":
        named = {block + ".ffn_down_exps.weight": values}
    else:
        named = {names.get_name(hf_name, try_suffixes=(".weight", ".bias")): values}
        dense_type = gguf.GGMLQuantizationType.BF16
    for stored, array in named.items():
        array = np.ascontiguousarray(array, dtype=np.float32)
        if array.ndim == 1 or "ffn_gate_inp" in stored:
            writer.add_tensor(stored, array)
        else:
            writer.add_tensor(stored, gguf.quants.quantize(array, dense_type), raw_dtype=dense_type)


def make_gguf_family(models, name):
    from make_model_fixtures import make_rows, randomize, write_json, write_rows

    folder = os.path.join(models, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    kind, architecture, fields = GGUF_FAMILIES[name]
    config = getattr(transformers, kind + ("TextConfig" if kind == "Gemma3" else "Config"))(**fields)
    model = getattr(transformers, "GPT2LMHeadModel" if kind == "GPT2" else kind + "ForCausalLM")(config)
    randomize(model, 11)
    model.tie_weights()
    for parameter in model.parameters():  # not the buffers: rope's frequencies and Gemma's scale stay float32
        parameter.data = parameter.data.to(torch.bfloat16).to(torch.float32)
    expert_type = gguf.GGMLQuantizationType.BF16
    if name in QUANTIZED_EXPERTS:
        expert_type = gguf.GGMLQuantizationType.Q8_0
        quantize_experts(model)
    arch = getattr(gguf.MODEL_ARCH, architecture)
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    writer = gguf.GGUFWriter(os.path.join(folder, "model.gguf"), gguf.MODEL_ARCH_NAMES[arch])
    add_metadata(writer, config)
    for hf_name, tensor in model.state_dict().items():
        if hf_name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = tensor.numpy()
        if architecture == "GPT2" and values.ndim == 2 and ".h." in hf_name:
            values = np.ascontiguousarray(values.T)
        if architecture in NORMS_PLUS_ONE and hf_name.endswith("norm.weight"):
            values = values + np.float32(1)
        if architecture in PERMUTED and ("q_proj" in hf_name or "k_proj" in hf_name):
            values = permute(values, config.num_attention_heads if "q_proj" in hf_name else config.num_key_value_heads)
        if architecture in FUSED and "query_key_value" in hf_name:
            values = sort_fused(values, config.num_attention_heads, key_heads(config))
        add_tensors(writer, names, hf_name, values, expert_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    model = model.eval()
    model.set_attn_implementation("eager")
    if hasattr(config, "num_experts_per_tok"):
        model.set_experts_implementation("eager")
    write_rows(os.path.join(folder, "rows.jsonl"), make_rows([9, 2, 6], config.vocab_size, 11))
    rows = hf_dump.read_rows(os.path.join(folder, "rows.jsonl"))
    tensors = hf_dump.dump(model, rows, gradients=False, hidden_states=True)
    safetensors.torch.save_file(tensors, os.path.join(folder, "expected_base.safetensors"))
    formats = ["dense", "keep"] if name in QUANTIZED_EXPERTS else ["dense"]
    write_json(os.path.join(folder, "parity.json"),
               {"rows": "rows.jsonl", "training": [],
                "dumps": [{"name": "expected_base", "model": "model.gguf", "adapter": None, "method": "lora",
                           "base_format": base_format, "gradients": False, "hidden_states": True}
                          for base_format in formats]})
    print(f"{name}: {os.path.getsize(os.path.join(folder, 'model.gguf'))} bytes, loss {json.dumps(tensors['loss'].item())}")
