"""The table of tiny models: one entry per fixture folder.

Sizes are odd on purpose: no dimension is a multiple of 16, and heads * head_dim is mostly not hidden_size.
  config     fields of the Hugging Face configuration
  stored     element type of the weights on disk
  shard      size of a shard, if the weights are split
  tokenizer  whether the folder gets a tokenizer and a chat template
  legacy     config.json in the words of transformers 4 (rope_theta, rope_scaling, torch_dtype)
  adapters   name -> LoraConfig fields
  quantized  whether NF4 results are recorded too
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
    },
    "llama_tied": {
        "class": "Llama", "stored": "float32", "tokenizer": True, "quantized": True, "full": True,
        "config": {"vocab_size": 97, "hidden_size": 20, "intermediate_size": 27, "num_hidden_layers": 2,
                   "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 10, "rms_norm_eps": 1e-6,
                   "max_position_embeddings": 512, "tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True,
                   "rope_parameters": {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0,
                                       "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                       "original_max_position_embeddings": 128}},
        "adapters": {"all": ALL},
    },
    "llama_sharded": {
        "class": "Llama", "stored": "float16", "shard": "9KB", "legacy": True, "full": True,
        "config": {"vocab_size": 97, "hidden_size": 22, "intermediate_size": 37, "num_hidden_layers": 2,
                   "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 14, "rms_norm_eps": 1e-5,
                   "max_position_embeddings": 64,
                   "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5}},
        "adapters": {"list": {"target_modules": ["k_proj", "gate_proj"], "r": 1, "lora_alpha": 2}},
    },
}

FAMILIES = {**LLAMA}
