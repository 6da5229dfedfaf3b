"""A tiny Llama as llama.cpp stores it: q and k rows permuted, every linear in another block format.

The expected logits are those of the dequantized weights, in Hugging Face's row order, run by transformers.
"""
import json
import os
import shutil

import gguf
import numpy as np
import safetensors.torch
import torch
import transformers

import hf_dump
from model_fixtures.tokenizer import CHAT_TEMPLATE, SPECIAL, vocabulary

# Rows of block formats are multiples of 32.
GGUF_MODELS = {
    "llama_gguf": {"vocab_size": 97, "hidden_size": 32, "intermediate_size": 96, "num_hidden_layers": 2,
                   "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "rms_norm_eps": 1e-5,
                   "max_position_embeddings": 128, "tie_word_embeddings": True,
                   "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
}
NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
# Layer 0, layer 1.
TYPES = {"attn_q": ("Q8_0", "Q4_1"), "attn_k": ("F32", "Q5_0"), "attn_v": ("Q4_0", "F16"), "attn_output": ("Q5_1", "BF16"),
         "ffn_gate": ("Q4_1", "Q8_0"), "ffn_up": ("Q4_1", "Q4_0"), "ffn_down": ("F16", "Q4_1"),
         "attn_norm": ("F32", "F32"), "ffn_norm": ("F32", "F32")}


def permute(weight, heads):
    """llama.cpp's order of the rows of q and k."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def unpermute(weight, heads):
    return weight.reshape(heads, weight.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(weight.shape)


def add_metadata(writer, config, tokens, merges):
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in SPECIAL else 1 for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokens.index(SPECIAL[1]))
    writer.add_eos_token_id(tokens.index(SPECIAL[2]))
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def store(writer, name, values, kind):
    """Adds a tensor and returns what a reader will see."""
    kind = gguf.GGMLQuantizationType[kind]
    raw = gguf.quants.quantize(values.astype(np.float32), kind)
    writer.add_tensor(name, raw, raw_dtype=kind)
    return gguf.quants.dequantize(raw, kind).astype(np.float32).reshape(values.shape)


def make_gguf(models, name):
    folder = os.path.join(models, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    tokens, merges = vocabulary(GGUF_MODELS[name]["vocab_size"])
    config = transformers.LlamaConfig(**GGUF_MODELS[name])
    torch.manual_seed(11)
    model = transformers.LlamaForCausalLM(config)
    from make_model_fixtures import make_rows, randomize, write_json, write_rows

    randomize(model, 11)
    writer = gguf.GGUFWriter(os.path.join(folder, "model.gguf"), "llama")
    add_metadata(writer, config, tokens, merges)
    state = model.state_dict()

    def replace(hf_name, gguf_name, kind, heads=0):
        values = state[hf_name].numpy()
        seen = store(writer, gguf_name, permute(values, heads) if heads else values, kind)
        state[hf_name].copy_(torch.from_numpy(unpermute(seen, heads) if heads else seen))

    replace("model.embed_tokens.weight", "token_embd.weight", "Q8_0")
    for layer in range(config.num_hidden_layers):
        for hf, short in NAMES.items():
            heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(short, 0)
            replace(f"model.layers.{layer}.{hf}.weight", f"blk.{layer}.{short}.weight", TYPES[short][layer], heads)
    replace("model.norm.weight", "output_norm.weight", "F32")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    model = model.eval()
    model.set_attn_implementation("eager")
    write_rows(os.path.join(folder, "rows.jsonl"), make_rows([9, 2, 6, 5], config.vocab_size, 11))
    rows = hf_dump.read_rows(os.path.join(folder, "rows.jsonl"))
    tensors = hf_dump.dump(model, rows, gradients=False, hidden_states=True)
    safetensors.torch.save_file(tensors, os.path.join(folder, "expected_base.safetensors"))
    dumps = [{"name": "expected_base", "model": "model.gguf", "adapter": None, "method": method, "base_format": held,
              "gradients": False, "hidden_states": True} for method, held in (("lora", "dense"), ("qlora", "keep"))]
    write_json(os.path.join(folder, "parity.json"), {"rows": "rows.jsonl", "dumps": dumps, "training": []})
    print(f"{name}: loss {json.dumps(tensors['loss'].item())}")
