#!/usr/bin/env python3
"""Compares the GPTQ and AWQ packing of tools/model_fixtures/packed_model.py with the unpacking code of the libraries.

    pip download --no-deps --no-binary :all: gptqmodel==7.4.0 autoawq==0.2.9   (and unpack both)
    python tools/check_packed.py gptqmodel-7.4.0 autoawq-0.2.9 [--write]

Neither has to be installed: GPTQModel's functions are taken out of utils/model_dequant.py and utils/model.py (the
conversion of version 1 that its loader does), AutoAWQ's packing_utils.py stands by itself. With --write, small matrices
with the values that the libraries' code decodes become tests/fixtures/quant/grouped.bin (make_quant_fixtures.py says
how). Exit code 1 if anything differs.

Pinned: numpy 2.4.6, torch 2.15.0.
"""
import argparse
import ast
import importlib.util
import itertools
import os
import sys
import types

import numpy as np
import torch

from model_fixtures import packed_model


def functions(source, path, wanted, names):
    """The functions of a file of GPTQModel, without the imports of that file."""
    path = os.path.join(source, "gptqmodel", "utils", path)
    with open(path) as f:
        tree = ast.parse(f.read())
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and wanted(node.name)]
    exec(compile(tree, path, "exec", flags=__import__("__future__").annotations.compiler_flag), names)
    return names


class Module:
    """What convert_gptq_v1_to_v2_format_module looks at."""
    planar = False

    def __init__(self, qzeros):
        self.qzeros = torch.nn.Parameter(qzeros.clone(), requires_grad=False)

    def qzero_format(self, format):
        pass


def gptqmodel_functions(source):
    log = types.SimpleNamespace(info=types.SimpleNamespace(once=lambda *_: None))
    names = {"torch": torch, "nn": torch.nn, "PLANAR_BITS": (), "BaseQuantLinear": Module, "log": log}
    wanted = ("unpack_cols", "unpack_rows", "pack_cols", "_shift_gptq_qzeros", "_correct_gptq_v1_qzeros")
    functions(source, "model_dequant.py", lambda name: name in wanted or "3bit" in name, names)
    return functions(source, "model.py", lambda name: name == "convert_gptq_v1_to_v2_format_module", names)


def awq_functions(source):
    path = os.path.join(source, "awq", "utils", "packing_utils.py")
    spec = importlib.util.spec_from_file_location("packing_utils", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def decode_gptq(gptq, parts, settings):
    """W [out, in] by GPTQModel's code."""
    bits, zeros = settings["bits"], torch.from_numpy(parts["qzeros"])
    if settings["checkpoint_format"] == "gptq":
        module = Module(zeros)
        gptq["convert_gptq_v1_to_v2_format_module"](module, bits=bits, pack_dtype=torch.int32)
        zeros = module.qzeros.data
    zeros = gptq["unpack_cols"](zeros, bits)
    codes = gptq["unpack_rows"](torch.from_numpy(parts["qweight"]), bits)
    index = torch.from_numpy(parts["g_idx"]).long()
    return (torch.from_numpy(parts["scales"]).float()[index] * (codes - zeros[index]).float()).T.contiguous().numpy()


def decode_awq(awq, parts, group_size):
    columns = parts["qweight"].shape[0]
    tensors = [torch.from_numpy(parts[name]) for name in ("qweight", "qzeros")]
    scales = torch.from_numpy(parts["scales"]).float()
    return awq.dequantize_gemm(*tensors, scales, 4, columns if group_size == -1 else group_size).T.contiguous().numpy()


def random_matrix(rng, rows, columns):
    """One row of four is positive: its zeros are 0 without symmetry, which wrap in version 1."""
    weight = rng.normal(size=(rows, columns)).astype(np.float32)
    weight[::4] = np.abs(weight[::4])
    return weight


def write_fixture(gptq, awq, rng):
    from make_quant_fixtures import Records

    out = Records("quant/grouped.bin")

    def add(name, parts, values):
        for part, content in parts.items():
            out.add(f"{name}/{part}", content)
        out.add(f"{name}/values", values)

    for bits in (2, 3, 4, 8):
        for name, settings in (("v1_sym", {"sym": True, "desc_act": False, "checkpoint_format": "gptq", "group_size": -1}),
                               ("v1", {"sym": False, "desc_act": True, "checkpoint_format": "gptq", "group_size": 8}),
                               ("v2", {"sym": False, "desc_act": True, "checkpoint_format": "gptq_v2", "group_size": 8})):
            settings = {"bits": bits, **settings}
            parts, _ = packed_model.pack_gptq(random_matrix(rng, 32, 32), settings, rng)
            add(f"gptq/{bits}/{settings['group_size']}/{name}", parts, decode_gptq(gptq, parts, settings))
    for group_size in (-1, 8):
        parts, _ = packed_model.pack_awq(random_matrix(rng, 32, 32), {"group_size": group_size}, rng)
        add(f"awq/4/{group_size}/", parts, decode_awq(awq, parts, group_size))
    out.save()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gptqmodel")
    parser.add_argument("autoawq")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    gptq, awq = gptqmodel_functions(options.gptqmodel), awq_functions(options.autoawq)
    rng = np.random.default_rng(1)
    weight = random_matrix(rng, 96, 128)
    compared = failed = 0

    def compare(name, found, wanted):
        nonlocal compared, failed
        compared += 1
        if not np.array_equal(found, wanted):
            failed += 1
            print("differs:", name)

    for bits, group_size, symmetric, version, act_order in itertools.product(
            (2, 3, 4, 8), (-1, 32, 64, 128), (True, False), ("gptq", "gptq_v2"), (False, True)):
        settings = {"bits": bits, "group_size": group_size, "sym": symmetric, "desc_act": act_order, "checkpoint_format": version}
        parts, values = packed_model.pack_gptq(weight, settings, rng)
        compare(settings, values, decode_gptq(gptq, parts, settings))
    for group_size in (-1, 32, 64, 128):
        parts, values = packed_model.pack_awq(weight, {"group_size": group_size}, rng)
        compare(f"AWQ {group_size}", values, decode_awq(awq, parts, group_size))
    print(f"{compared} packings, {failed} differ")
    if options.write:
        write_fixture(gptq, awq, np.random.default_rng(2))
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
