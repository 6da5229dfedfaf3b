"""Generation: one stream against llama.cpp, a batch against transformers.

Lorikeet's rates come from the difference of two runs, so loading does not count; the peers time themselves.
"""
import json
import os
import random
import tempfile

from common import PEERS, ROOT, environment, last_json, model_folder, say, smollm2_gguf

PREFILL_WORDS, DECODE_TOKENS, BATCH_TOKENS = 1500, 128, 64
BATCH_DATA = os.path.join(ROOT, "examples", "tool_calls", "test.jsonl")


def words(n):
    numbers = random.Random(3)
    nouns = ["river", "window", "garden", "letter", "train", "number", "morning", "bridge", "music", "paper"]
    return " ".join(numbers.choice(nouns) for _ in range(n))


class Stream:
    """Prefill and decode of one prompt on both sides."""

    def __init__(self, machine, binary, python, args):
        self.machine, self.binary, self.python, self.args = machine, binary, python, args
        self.gguf, self.samples = smollm2_gguf(), {}

    def run(self, command):
        """Seconds and output of a run that nothing disturbed, or of the last try."""
        for _ in range(self.args.retries + 1):
            self.machine.wait_until_quiet(self.args.wait)
            run = self.machine.run(command, environment(self.args.threads))
            if not run["disturbed"]:
                break
        return run

    def lorikeet(self, text, new_tokens, form):
        run = self.run([self.binary, "generate", "--model", self.gguf, "--method", "qlora", "--base-format", form,
                        "--prompt", text, "--max-new-tokens", str(new_tokens), "--threads", str(self.args.threads),
                        "--json", "--quiet"])
        return run, last_json(run["stdout"])

    def add(self, work, side, rate, disturbed):
        self.samples.setdefault(work, {}).setdefault(side, []).append({"rate": rate, "disturbed": disturbed})
        say(f"  {work}, {side}: {rate:.4g} tokens/s{' (disturbed)' if disturbed else ''}")

    def difference(self, work, side, form, short, long):
        """`short` and `long` are (text, new tokens) that differ in what is measured."""
        a, a_out = self.lorikeet(*short, form)
        b, b_out = self.lorikeet(*long, form)
        count = sum(sign * (out["prompt_tokens"] + len(out["tokens"])) for sign, out in ((1, b_out), (-1, a_out)))
        self.add(work, side, count / max(b["seconds"] - a["seconds"], 1e-3), a["disturbed"] or b["disturbed"])

    def round(self, text_file):
        with open(text_file) as f:
            text = f.read()
        short = " ".join(text.split()[:8])
        for form, name in (("bnb_4bit", "lorikeet NF4"), ("keep", "lorikeet, the file's blocks")):
            self.difference("prefill", name, form, (short, 1), (text, 1))
            self.difference("decode", name, form, (short, 1), (short, 1 + 2 * DECODE_TOKENS))
        run = self.run([self.python, os.path.join(PEERS, "generate_peers.py"), "llama", self.gguf, "--text", text_file,
                        "--decode", str(DECODE_TOKENS), "--threads", str(self.args.threads)])
        rates = last_json(run["stdout"])
        for work in ("prefill", "decode"):
            self.add(work, "llama.cpp", rates[work], run["disturbed"])


def results(samples, prefix):
    out = []
    for work, sides in samples.items():
        listed = []
        for name, taken in sides.items():
            quiet = [s for s in taken if not s["disturbed"]]
            listed.append({"name": name, "rate": max(s["rate"] for s in quiet or taken), "quiet_samples": len(quiet),
                           "samples": taken})
        out.append({"work": f"{prefix}{work}", "unit": "tokens", "sides": listed})
    return out


def compare_stream(machine, binary, python, args):
    say("135M, one stream")
    stream = Stream(machine, binary, python, args)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "text.txt")
        with open(path, "w") as f:
            f.write(words(PREFILL_WORDS))
        for _ in range(args.rounds):
            stream.round(path)
    return results(stream.samples, "135M, one stream, ")


def questions(path, limit):
    """The rows without their last answer."""
    with open(path) as f:
        rows = [json.loads(line)["messages"] for line in f][:limit]
    return [{"messages": m[:-1] if m[-1]["role"] == "assistant" else m} for m in rows]


def compare_batch(machine, binary, python, args, limit=200):
    say(f"135M, {limit} rows in batches")
    model, samples = model_folder("smollm2", python), {}
    with tempfile.TemporaryDirectory() as folder:
        many, one = os.path.join(folder, "many.jsonl"), os.path.join(folder, "one.jsonl")
        rows = questions(BATCH_DATA, limit)
        for path, chosen in ((many, rows), (one, rows[:1])):
            with open(path, "w") as f:
                f.writelines(json.dumps(row) + "\n" for row in chosen)

        def lorikeet(path, tokens):
            machine.wait_until_quiet(args.wait)
            run = machine.run([binary, "generate", "--model", model, "--messages", path, "--max-new-tokens", str(tokens),
                               "--compute-dtype", "bfloat16", "--threads", str(args.threads), "--json", "--quiet"],
                              environment(args.threads))
            return run, sum(len(json.loads(line)["tokens"]) for line in run["stdout"].splitlines())

        for _ in range(max(1, args.rounds - 1)):
            (a, a_tokens), (b, b_tokens) = lorikeet(one, 1), lorikeet(many, BATCH_TOKENS)
            machine.wait_until_quiet(args.wait)
            peer = machine.run([python, os.path.join(PEERS, "generate_peers.py"), "transformers", model, "--messages", many,
                                "--batch", "128", "--max-new-tokens", str(BATCH_TOKENS), "--threads", str(args.threads)],
                               environment(args.threads))
            printed = last_json(peer["stdout"])
            for name, rate, disturbed in (
                    ("lorikeet", (b_tokens - a_tokens) / (b["seconds"] - a["seconds"]), a["disturbed"] or b["disturbed"]),
                    ("transformers", printed["tokens"] / printed["seconds"], peer["disturbed"])):
                samples.setdefault(f"{limit} rows, up to {BATCH_TOKENS} tokens each", {}).setdefault(name, []).append(
                    {"rate": rate, "disturbed": disturbed})
                say(f"  {name}: {rate:.4g} new tokens/s{' (disturbed)' if disturbed else ''}")
    return results(samples, "135M greedy, ")
