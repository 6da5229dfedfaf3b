"""Ten optimizer steps by PyTorch, and their recipe in the words of a Lorikeet configuration."""
import math

import torch

from hf_dump import row_losses, target_count

# A step of Adam divides by the gradient's size: an epsilon above its rounding keeps ten steps comparable in float32.
# Eleven rows in micro-batches of 2 and macro-batches of 4: every epoch ends with a short macro-batch.
RECIPE = {
    "data_format": "tokenized",
    "shuffle": False,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "max_steps": 10,
    "learning_rate": 0.004,
    "lr_scheduler_type": "cosine",
    "warmup_ratio": 0.0,
    "warmup_steps": 2,
    "adam_beta1": 0.9,
    "adam_beta2": 0.99,
    "adam_epsilon": 1e-6,
    "weight_decay": 0.5,
    "max_grad_norm": 0.5,
    "compute_dtype": "float32",
}


def learning_rate(recipe, step):
    """transformers' get_cosine_schedule_with_warmup for step 0, 1, ..."""
    warmup, total = recipe["warmup_steps"], recipe["max_steps"]
    if step < warmup:
        return recipe["learning_rate"] * step / warmup
    progress = (step - warmup) / (total - warmup)
    return recipe["learning_rate"] * max(0.0, 0.5 * (1 + math.cos(math.pi * progress)))


def macro_batches(rows, recipe):
    """Rows of each optimizer step, epoch after epoch in file order."""
    size = recipe["per_device_train_batch_size"] * recipe["gradient_accumulation_steps"]
    while True:
        for begin in range(0, len(rows), size):
            yield rows[begin:begin + size]


def make_optimizer(model, recipe):
    """AdamW with the parameter groups of transformers' Trainer, or of PEFT's LoRA+."""
    options = {"lr": recipe["learning_rate"], "betas": (recipe["adam_beta1"], recipe["adam_beta2"]),
               "eps": recipe["adam_epsilon"], "foreach": False}
    if "loraplus_lr_ratio" in recipe:
        from peft.optimizers import create_loraplus_optimizer

        return create_loraplus_optimizer(model, torch.optim.AdamW, loraplus_lr_ratio=recipe["loraplus_lr_ratio"],
                                         loraplus_weight_decay=recipe["weight_decay"], **options)
    parameters = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    # Biases and norm weights do not decay; DoRA's magnitudes, one-dimensional as well, do.
    decays = [p for name, p in parameters if p.dim() > 1 or "lora_magnitude_vector" in name]
    rest = [p for name, p in parameters if not (p.dim() > 1 or "lora_magnitude_vector" in name)]
    groups = [{"params": decays, "weight_decay": recipe["weight_decay"]}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW([g for g in groups if g["params"]], **options)


def train(model, rows, recipe):
    """(losses, gradient norms before clipping, learning rates) of the recipe's steps."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = make_optimizer(model, recipe)
    rate_factors = [group["lr"] / recipe["learning_rate"] for group in optimizer.param_groups]
    losses, norms, rates = [], [], []
    batches = macro_batches(rows, recipe)
    for step in range(recipe["max_steps"]):
        macro = next(batches)
        count = target_count(macro)
        optimizer.zero_grad()
        total = 0.0
        for ids, labels in macro:
            loss, _ = row_losses(model, ids, labels)
            (loss / count).backward()
            total += loss.item()
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, recipe["max_grad_norm"]).item())
        for group, factor in zip(optimizer.param_groups, rate_factors):
            group["lr"] = factor * learning_rate(recipe, step)
        optimizer.step()
        losses.append(total / count)
        rates.append(learning_rate(recipe, step))
    return losses, norms, rates
