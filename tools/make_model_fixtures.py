#!/usr/bin/env python3
"""Writes tests/fixtures/models: tiny random models, adapters on them, and what transformers, PEFT, bitsandbytes and
PyTorch's AdamW compute with them.

    python tools/make_model_fixtures.py                 makes every folder again that is there
    python tools/make_model_fixtures.py NAME ...        these; a new family is added by naming it

Each folder is a complete model. parity.json lists what was recorded: "dumps" (model, adapter and method -> a file in
the layout of `lorikeet debug dump`), "training" (recipe -> the losses of ten steps) and "weighted" (adapters with
weights -> the logits of their combination).

Pinned: Python 3.11, torch 2.15.0 (CPU, one thread), transformers 5.23.0, peft 0.21.2, bitsandbytes 0.50.2,
tokenizers 0.23.3, safetensors 0.8.0, gguf 0.19.0, numpy 2.4.6. Everything is float32.
"""
import json
import os
import random
import shutil
import sys
import zlib

import peft
import safetensors.torch
import torch
import transformers

import hf_dump
from model_fixtures.families import FAMILIES
from model_fixtures.gguf_families import GGUF_FAMILIES, make_gguf_family
from model_fixtures.gguf_model import GGUF_MODELS, make_gguf
from model_fixtures.packed_model import PACKED_MODELS, make_packed
from model_fixtures.tokenizer import save_tokenizer
from model_fixtures.training import RECIPE, train

MODELS = os.environ.get("LORIKEET_FIXTURES") or os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "fixtures", "models")
DUMP_LENGTHS = [9, 2, 6, 5]
TRAIN_LENGTHS = [7, 3, 12, 2, 5, 9, 4, 4, 14, 3, 6]


def write_json(path, content):
    with open(path, "w") as f:
        json.dump(content, f, indent=1)
        f.write("\n")


def make_rows(lengths, vocab, seed):
    """Rows with labels on a random part, on the end only, or (without labels) on every token."""
    numbers = random.Random(seed)
    rows = []
    for i, length in enumerate(lengths):
        ids = [numbers.randrange(vocab) for _ in range(length)]
        labels = [token if numbers.random() < 0.6 else -100 for token in ids]
        labels[-1] = ids[-1]
        if i % 4 == 1:
            rows.append({"input_ids": ids})
        else:
            rows.append({"input_ids": ids, "labels": labels})
    return rows


def write_rows(path, rows):
    with open(path, "w") as f:
        f.writelines(json.dumps(row) + "\n" for row in rows)


def randomize(model, seed):
    """Weights with some life in them, so that every path matters: matrices, norm weights around 1, biases."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if p.dim() > 1:
            p.data = noise * (0.6 if "embed" in name or "wte" in name else 1.3 / p.shape[-1] ** 0.5)
        elif name.endswith("bias"):
            p.data = 0.2 * noise
        else:
            p.data = p.data + 0.2 * noise


def legacy_config(folder):
    path = os.path.join(folder, "config.json")
    with open(path) as f:
        config = json.load(f)
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope if rope.get("rope_type") != "default" else None
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.40.0"
    write_json(path, config)


def make_model(folder, entry, seed):
    ids = save_tokenizer(folder, entry["config"]["vocab_size"]) if entry.get("tokenizer") else {}
    config_class = getattr(transformers, entry["class"] + "Config")
    config = config_class(**{**entry["config"], **ids})
    model = getattr(transformers, entry.get("model_class", entry["class"] + "ForCausalLM"))(config)
    randomize(model, seed)
    model.tie_weights()
    stored = getattr(torch, entry["stored"])
    model.to(stored).save_pretrained(folder, max_shard_size=entry.get("shard", "50GB"))
    if entry.get("legacy"):
        legacy_config(folder)


def random_adapter(base, folder, fields, seed):
    """A PEFT model over `base` with random factors, saved to `folder`."""
    torch.manual_seed(seed)
    model = peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM", **fields))
    for name, p in model.named_parameters():
        if p.requires_grad:
            noise = torch.randn(p.shape)
            if "modules_to_save" in name or "trainable_tokens_delta" in name:
                p.data = p.data + 0.1 * noise
            elif "lora_magnitude_vector" in name:
                p.data = p.data * (1 + 0.2 * noise)
            else:
                p.data = noise * (0.4 if "lora_A" in name else 0.25)
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    path = os.path.join(folder, "adapter_config.json")
    with open(path) as f:
        config = json.load(f)
    config["base_model_name_or_path"] = os.path.basename(os.path.dirname(folder))
    config["target_modules"] = sorted(config["target_modules"]) if isinstance(config["target_modules"], list) else config["target_modules"]
    write_json(path, config)
    return model


def start_adapter(folder, name, fields):
    """PEFT's model after init_lora_weights = name; loftq by its formulas, since its function wants a GPU."""
    base = hf_dump.load_model(folder)
    if name != "loftq":
        return peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM", init_lora_weights=name, **fields)).eval()
    weights = {path: module.weight.data.clone() for path, module in hf_dump.linear_modules(base)}
    hf_dump.quantize_linears(base)
    model = peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM", **fields))
    for path, module in model.named_modules():
        if not isinstance(module, peft.tuners.lora.Linear):
            continue
        residue = weights[path.removeprefix("base_model.model.")] - module.base_layer.weight.data
        parts = peft.utils.loftq_utils._low_rank_decomposition(residue, module.r["default"])
        module.lora_A["default"].weight.data = parts["R"].contiguous()
        module.lora_B["default"].weight.data = parts["L"].contiguous()
    return model.eval()


class Recorder:
    """Collects the results of one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.rows = hf_dump.read_rows(os.path.join(folder, "rows.jsonl"))
        self.train_rows = hf_dump.read_rows(os.path.join(folder, "train.jsonl"))
        self.parity = {"rows": "rows.jsonl", "dumps": [], "training": [], "weighted": []}

    def load(self, adapter, method):
        path = adapter and os.path.join(self.folder, adapter)
        return hf_dump.load_model(self.folder, path, {} if method == "qlora" else None)

    def dump(self, name, adapter=None, method="lora", gradients=True, hidden_states=False):
        tensors = hf_dump.dump(self.load(adapter, method), self.rows, gradients, hidden_states)
        safetensors.torch.save_file(tensors, os.path.join(self.folder, name + ".safetensors"))
        self.parity["dumps"].append({"name": name, "adapter": adapter, "method": method, "gradients": gradients,
                                     "hidden_states": hidden_states})

    def training(self, name, adapter=None, method="lora", **changes):
        recipe = {**RECIPE, "method": method, **changes}
        losses, norms, rates = train(self.load(adapter, method), self.train_rows, recipe)
        self.parity["training"].append({"name": name, "adapter": adapter, "data": "train.jsonl", "recipe": recipe,
                                        "losses": losses, "grad_norms": norms, "learning_rates": rates})

    def started(self, name, method, fields):
        """Ten steps of an adapter that starts from the base's own weights."""
        recipe = {**RECIPE, "method": method, "lora_r": fields["r"], "lora_alpha": fields["lora_alpha"],
                  "lora_target_modules": fields["target_modules"], "init_lora_weights": name}
        losses, norms, rates = train(start_adapter(self.folder, name, fields), self.train_rows, recipe)
        self.parity["training"].append({"name": name, "adapter": None, "data": "train.jsonl", "recipe": recipe,
                                        "losses": losses, "grad_norms": norms, "learning_rates": rates})

    def weighted(self, name, combination_type, weights):
        """Logits of PEFT's add_weighted_adapter; `weights` is adapter folder -> weight."""
        first, *rest = weights
        model = self.load(first, "lora")
        for adapter in rest:
            model.load_adapter(os.path.join(self.folder, adapter), adapter)
        model.add_weighted_adapter(["default", *rest], list(weights.values()), "mixed", combination_type)
        model.set_adapter("mixed")
        tensors = hf_dump.dump(model.eval(), self.rows)
        safetensors.torch.save_file(tensors, os.path.join(self.folder, name + ".safetensors"))
        self.parity["weighted"].append({"name": name, "combination_type": combination_type, "adapters": weights})

    def save(self):
        write_json(os.path.join(self.folder, "parity.json"), self.parity)


def make_folder(name, entry):
    folder = os.path.join(MODELS, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    seed = zlib.crc32(name.encode()) % 100000
    torch.manual_seed(seed)
    make_model(folder, entry, seed)
    vocab = entry["config"]["vocab_size"]
    write_rows(os.path.join(folder, "rows.jsonl"), make_rows(entry.get("lengths", DUMP_LENGTHS), vocab, seed))
    write_rows(os.path.join(folder, "train.jsonl"), make_rows(TRAIN_LENGTHS, vocab, seed + 1))
    record = Recorder(folder)
    record.dump("expected_base", gradients=False, hidden_states=True)
    for i, (adapter, fields) in enumerate(entry["adapters"].items()):
        path = "adapter_" + adapter
        random_adapter(hf_dump.load_model(folder), os.path.join(folder, path), fields, seed + 10 + i)
        record.dump("expected_" + adapter, path)
    first = "adapter_" + next(iter(entry["adapters"]))
    record.training("lora", first, **entry.get("recipe", {}))
    if entry.get("quantized"):
        record.dump("expected_qlora", first, method="qlora")
        record.training("qlora", first, method="qlora")
        for adapter in entry.get("also_quantized", []):
            record.dump("expected_qlora_" + adapter, "adapter_" + adapter, method="qlora")
    for run, (adapter, changes) in entry.get("training", {}).items():
        record.training(run, "adapter_" + adapter, **changes)
    for start, (method, fields) in entry.get("starts", {}).items():
        record.started(start, method, fields)
    for combination, weights in entry.get("weighted", {}).items():
        record.weighted("expected_" + combination, combination,
                        {"adapter_" + adapter: weight for adapter, weight in weights.items()})
    if entry.get("full"):
        record.dump("expected_full", method="full")
        record.training("full", method="full")
    record.save()
    sizes = sum(os.path.getsize(os.path.join(where, f)) for where, _, files in os.walk(folder) for f in files)
    losses = [round(x, 4) for t in record.parity["training"] for x in (t["losses"][0], t["losses"][-1])]
    print(f"{name}: {sizes} bytes, first and last losses {losses}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    there = [name for name in [*FAMILIES, *GGUF_MODELS, *GGUF_FAMILIES, *PACKED_MODELS] if os.path.isdir(os.path.join(MODELS, name))]
    wanted = sys.argv[1:] or there
    for folder_name in wanted:
        if folder_name in FAMILIES:
            make_folder(folder_name, FAMILIES[folder_name])
        elif folder_name in GGUF_FAMILIES:
            make_gguf_family(MODELS, folder_name)
        elif folder_name in PACKED_MODELS:
            make_packed(MODELS, folder_name)
        else:
            make_gguf(MODELS, folder_name)
