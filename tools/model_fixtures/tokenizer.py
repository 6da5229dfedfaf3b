"""A byte-level BPE tokenizer of a given size and a chat template, small enough for a fixture."""
import json
import os
import string

import tokenizers
import transformers

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["h e", "t he", "Ġ the", "i n", "e r", "a n", "an d", "Ġ and", "o n", "r e", "s t", "e n"]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def byte_symbols():
    """GPT-2's characters for the 256 bytes."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    return {**{b: chr(b) for b in shown}, **{b: chr(256 + i) for i, b in enumerate(hidden)}}


def alphabet(size):
    """All bytes where they fit, else those of short English texts and JSON."""
    symbols = byte_symbols()
    if size >= 256 + len(SPECIAL):
        return [symbols[b] for b in range(256)]
    text = "\n " + string.ascii_letters + string.digits + "{}[]\":,.?!'-_/()=@$#"
    return [symbols[ord(c)] for c in text]


def vocabulary(size):
    """(tokens by id, merges)"""
    tokens = alphabet(size)
    merges = MERGES[: size - len(tokens) - len(SPECIAL)]
    tokens += [merge.replace(" ", "") for merge in merges]
    assert size - len(tokens) >= len(SPECIAL), size
    return tokens + SPECIAL, merges


def save_tokenizer(folder, size):
    """Writes tokenizer.json, tokenizer_config.json and chat_template.jinja."""
    tokens, merges = vocabulary(size)
    plain = {token: i for i, token in enumerate(tokens) if token not in SPECIAL}
    core = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=plain, merges=[tuple(m.split(" ")) for m in merges]))
    core.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = tokenizers.decoders.ByteLevel()
    core.add_special_tokens(SPECIAL)
    assert [core.token_to_id(token) for token in tokens] == list(range(len(tokens)))
    official = transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token=SPECIAL[1], eos_token=SPECIAL[2], pad_token=SPECIAL[0])
    official.chat_template = CHAT_TEMPLATE
    official.save_pretrained(folder)
    with open(os.path.join(folder, "tokenizer.json")) as f:
        content = json.load(f)
    with open(os.path.join(folder, "tokenizer.json"), "w") as f:
        json.dump(content, f, ensure_ascii=False)
    return {"bos_token_id": len(tokens) - 2, "eos_token_id": len(tokens) - 1, "pad_token_id": len(tokens) - 3}
