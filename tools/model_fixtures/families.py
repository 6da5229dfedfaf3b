"""The table of tiny models: one entry per fixture folder.

Sizes are odd on purpose: no dimension is a multiple of 16, and heads * head_dim is mostly not hidden_size.
  config     fields of the Hugging Face configuration
  stored     element type of the weights on disk
  shard      size of a shard, if the weights are split
  tokenizer  whether the folder gets a tokenizer and a chat template
  legacy     config.json in the words of transformers 4 (rope_theta, rope_scaling, torch_dtype)
  adapters   name -> LoraConfig fields
  starts     init_lora_weights -> method and LoraConfig fields of ten steps from there
  weighted   how PEFT combines adapters -> adapter -> weight
  training   name -> adapter and changes to the recipe of ten steps
  quantized  whether NF4 results of the first adapter are recorded too
  also_quantized  other adapters whose NF4 results are recorded
  recipe     keys of the training recipe that differ
  full       whether gradients and losses of full fine-tuning are recorded
"""
ALL = {"target_modules": "all-linear", "r": 3, "lora_alpha": 7}

LLAMA = {
    "llama": {
        "class": "Llama", "stored": "bfloat16", "tokenizer": True, "quantized": True,
        "config": {"vocab_size": 97, "hidden_size": 36, "intermediate_size": 52, "num_hidden_layers": 3,
                   "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 6, "rms_norm_eps": 1e-5,
                   "max_position_embeddings": 128, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
        "adapters": {"all": ALL,
                     "list": {"target_modules": ["q_proj", "v_proj", "down_proj"], "r": 5, "lora_alpha": 4},
                     "regex": {"target_modules": r".*\.[02]\.self_attn\.(k|o)_proj", "r": 2, "lora_alpha": 3,
                               "use_rslora": True},
                     "patterns": {"target_modules": ["q_proj", "up_proj", "o_proj"], "r": 4, "lora_alpha": 6,
                                  "rank_pattern": {"layers.1.self_attn.q_proj": 7, "up_proj": 1},
                                  "alpha_pattern": {"o_proj": 9}, "layers_to_transform": [0, 1]}},
        "training": {"loraplus": ("list", {"loraplus_lr_ratio": 8.0})},
    },
    "llama_tied": {
        "class": "Llama", "stored": "float32", "tokenizer": True, "quantized": True, "full": True,
        "config": {"vocab_size": 97, "hidden_size": 20, "intermediate_size": 27, "num_hidden_layers": 2,
                   "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 10, "rms_norm_eps": 1e-6,
                   "max_position_embeddings": 512, "tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True,
                   "rope_parameters": {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0,
                                       "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                       "original_max_position_embeddings": 128}},
        "adapters": {"all": ALL,
                     "dora": {"target_modules": ["q_proj", "o_proj", "up_proj", "down_proj"], "r": 3, "lora_alpha": 5,
                              "use_dora": True},
                     "few": {"target_modules": ["q_proj", "down_proj"], "r": 3, "lora_alpha": 2},
                     "heads": {"target_modules": ["v_proj", "lm_head", "embed_tokens"], "r": 3, "lora_alpha": 4},
                     "tokens": {"target_modules": ["q_proj"], "r": 2, "lora_alpha": 3,
                                "trainable_token_indices": [77, 5, 63]},
                     "bias": {"target_modules": ["q_proj", "gate_proj", "down_proj"], "r": 2, "lora_alpha": 3,
                              "lora_bias": True}},
        "starts": {"pissa": ("lora", {"target_modules": ["q_proj", "v_proj", "down_proj"], "r": 3, "lora_alpha": 5}),
                   "olora": ("lora", {"target_modules": ["q_proj", "v_proj", "down_proj"], "r": 3, "lora_alpha": 2}),
                   "loftq": ("qlora", {"target_modules": ["q_proj", "v_proj", "down_proj"], "r": 4, "lora_alpha": 4})},
        "weighted": {"cat": {"all": 0.7, "few": -0.4}, "linear": {"all": 0.7, "few": -0.4}},
        "also_quantized": ["dora"],
        "training": {"dora": ("dora", {}), "heads": ("heads", {}), "tokens": ("tokens", {}), "bias": ("bias", {}),
                     "heads_loraplus": ("heads", {"loraplus_lr_ratio": 8.0}),
                     "bias_loraplus": ("bias", {"loraplus_lr_ratio": 8.0})},
    },
    "llama_sharded": {
        "class": "Llama", "stored": "float16", "shard": "9KB", "legacy": True, "full": True,
        "config": {"vocab_size": 97, "hidden_size": 22, "intermediate_size": 37, "num_hidden_layers": 2,
                   "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 14, "rms_norm_eps": 1e-5,
                   "max_position_embeddings": 64,
                   "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5}},
        "adapters": {"list": {"target_modules": ["k_proj", "gate_proj"], "r": 1, "lora_alpha": 2},
                     "saved": {"target_modules": ["q_proj", "v_proj"], "r": 2, "lora_alpha": 3,
                               "modules_to_save": ["lm_head", "embed_tokens", "norm", "v_proj"]},
                     "heads": {"target_modules": ["v_proj", "lm_head", "embed_tokens"], "r": 3, "lora_alpha": 4},
                     "tokens": {"target_modules": ["q_proj"], "r": 2, "lora_alpha": 3,
                                "trainable_token_indices": {"embed_tokens": [20, 7], "lm_head": [90, 7]}}},
        "training": {"saved": ("saved", {}), "heads": ("heads", {})},
    },
}

ROPE = {"rope_type": "default", "rope_theta": 500.0}
SMALL = {"vocab_size": 67, "hidden_size": 20, "intermediate_size": 27, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "head_dim": 6, "max_position_embeddings": 64, "rope_parameters": ROPE}
WIDE = {**SMALL, "hidden_size": 24}  # for families whose head_dim is always hidden_size / heads
del WIDE["head_dim"]


def small(name, config, targets="all-linear", more=(), **entry):
    """A family's entry: bf16 on disk, one adapter or more."""
    return {"class": name, "stored": "bfloat16", "config": config,
            "adapters": {"all": {**ALL, "target_modules": targets}, **dict(more)}, **entry}


GPT2 = {"vocab_size": 67, "n_embd": 20, "n_head": 2, "n_layer": 2, "n_inner": 27, "n_positions": 32}
FALCON = {"vocab_size": 67, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_hidden_size": 27,
          "max_position_embeddings": 64, "alibi": False, "bias": False, "rope_parameters": ROPE}
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
QWEN3_MOE = {"num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 11}

OTHERS = {
    "llama_dynamic": small("Llama", {**SMALL, "max_position_embeddings": 6, "rope_parameters": {
        **ROPE, "rope_type": "dynamic", "factor": 2.0}}),
    "llama_yarn": small("Llama", {**SMALL, "rope_parameters": {
        **ROPE, "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}},
        recipe={"learning_rate": 0.001}),  # at 0.004 its gradients grow tenfold, and with them the rounding
    "mistral": small("Mistral", {**SMALL, "sliding_window": 4}),
    "qwen2": small("Qwen2", {**WIDE, "tie_word_embeddings": True}),
    "qwen2_window": small("Qwen2", {**WIDE, "num_hidden_layers": 3, "use_sliding_window": True, "sliding_window": 4,
                                    "max_window_layers": 1}),
    "qwen3": small("Qwen3", {**SMALL, "tie_word_embeddings": True}, full=True),
    "qwen3_bias": small("Qwen3", {**SMALL, "attention_bias": True}),
    # Its embedding is scaled in the module and has a padding row.
    "gemma": small("Gemma", {**SMALL, "hidden_act": "gelu_pytorch_tanh", "pad_token_id": 9}, full=True,
                   more={"embedding": {"target_modules": ["embed_tokens"], "r": 3, "lora_alpha": 4},
                         "tokens": {"target_modules": ["q_proj"], "r": 2, "lora_alpha": 3,
                                    "trainable_token_indices": [9, 60]}}),
    "gemma2": small("Gemma2", {**SMALL, "sliding_window": 4, "query_pre_attn_scalar": 9, "attn_logit_softcapping": 5.0,
                               "final_logit_softcapping": 3.0, "pad_token_id": None}, full=True),
    "gemma3": small("Gemma3Text", {**SMALL, "num_hidden_layers": 3, "sliding_window": 4, "sliding_window_pattern": 3,
                                   "query_pre_attn_scalar": 9, "rope_parameters": {
                                       "full_attention": {"rope_type": "linear", "rope_theta": 900.0, "factor": 2.0},
                                       "sliding_attention": ROPE}}, model_class="Gemma3ForCausalLM"),
    "phi3": small("Phi3", {**WIDE, "sliding_window": 4, "pad_token_id": 0}),
    "phi3_longrope": small("Phi3", {**WIDE, "pad_token_id": 0, "max_position_embeddings": 64,
                                    "original_max_position_embeddings": 7, "rope_parameters": {
                                        **ROPE, "rope_type": "longrope", "short_factor": [1.0, 1.1, 1.3],
                                        "long_factor": [1.5, 2.0, 4.0]}}),
    "phi3_partial": small("Phi3", {**WIDE, "hidden_size": 32, "pad_token_id": 0, "tie_word_embeddings": True,
                                   "rope_parameters": {**ROPE, "partial_rotary_factor": 0.75}}),
    "gpt2": small("GPT2", GPT2, model_class="GPT2LMHeadModel", full=True, quantized=True),
    "gpt_neox": small("GPTNeoX", {"vocab_size": 67, "hidden_size": 24, "intermediate_size": 27, "num_hidden_layers": 2,
                                  "num_attention_heads": 3, "max_position_embeddings": 64, "rope_parameters": {
                                      **ROPE, "partial_rotary_factor": 0.5}}, full=True),
    "gpt_neox_serial": small("GPTNeoX", {"vocab_size": 67, "hidden_size": 24, "intermediate_size": 27,
                                         "num_hidden_layers": 2, "num_attention_heads": 3, "attention_bias": False,
                                         "use_parallel_residual": False, "max_position_embeddings": 64,
                                         "rope_parameters": {**ROPE, "partial_rotary_factor": 0.25}}),
    "falcon": small("Falcon", {**FALCON, "multi_query": True, "parallel_attn": True}, full=True),
    "falcon_new": small("Falcon", {**FALCON, "new_decoder_architecture": True, "num_kv_heads": 2}),
    "falcon_serial": small("Falcon", {**FALCON, "multi_query": False, "parallel_attn": False, "bias": True}),
    "mixtral": small("Mixtral", {**SMALL, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 4},
                     ATTENTION, quantized=True),
    "qwen3_moe": small("Qwen3Moe", {**SMALL, **QWEN3_MOE, "norm_topk_prob": True, "mlp_only_layers": [0]}, ATTENTION),
    "qwen3_moe_raw": small("Qwen3Moe", {**SMALL, **QWEN3_MOE, "norm_topk_prob": False, "num_experts_per_tok": 3,
                                        "decoder_sparse_step": 2}, ATTENTION),
    "olmo2": small("Olmo2", WIDE),
    "granite": small("Granite", {**WIDE, "embedding_multiplier": 3.0, "residual_multiplier": 0.4,
                                 "attention_multiplier": 0.3, "logits_scaling": 2.0}),
    "smollm3": small("SmolLM3", {**WIDE, "num_hidden_layers": 4, "no_rope_layer_interval": 2, "pad_token_id": 0,
                                 "bos_token_id": 1, "eos_token_id": 2}),
    "starcoder2": small("Starcoder2", {**WIDE, "sliding_window": 4}),
    "stablelm": small("StableLm", {**WIDE, "hidden_size": 32, "use_qkv_bias": True,
                                   "use_parallel_residual": True, "rope_parameters": {
                                       **ROPE, "partial_rotary_factor": 0.75}}),
    "cohere": small("Cohere", {**WIDE, "logit_scale": 0.25}),
    "phi": small("Phi", {**WIDE, "hidden_size": 32, "rope_parameters": {**ROPE, "partial_rotary_factor": 0.5}}),
    "opt": small("OPT", {"vocab_size": 67, "hidden_size": 20, "word_embed_proj_dim": 20, "ffn_dim": 27,
                         "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 32}),
}

FAMILIES = {**LLAMA, **OTHERS}
