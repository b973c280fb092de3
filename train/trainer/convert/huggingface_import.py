"""A folder of Hugging Face's transformers with a GPT-2 -> a model file of llm.c. What is not ours is refused by name.

Only safetensors files are read: a PyTorch pickle may run any program when it is opened.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from sparkprep.errors import UserError
from sparkprep.io.files import cause, exists, file_names
from sparkprep.io.json_files import read_json
from sparkprep.io.paths import is_local, normalise
from sparkprep.tokenizer.vocabulary import VOCABULARY_SIZE
from trainer.checkpoints import model_file
from trainer.checkpoints.parts import Written
from trainer.convert.huggingface import CONFIG, PREFIX, WEIGHTS, places
from trainer.models.gpt2 import LAYER_NORM_EPS, GPT2Shape

INDEX = f"{WEIGHTS}.index.json"

_AGAIN = "copy it anew"
_PICKLE = re.compile(r"pytorch_model.*\.bin(\.index\.json)?|.*\.(pt|pth|ckpt)")
_BUFFER = re.compile(r"h\.\d+\.attn\.(masked_)?bias")  # the causal mask, which older files hold
_HEAD = "lm_head.weight"
_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_MOST = 1 << 16  # layers, heads, channels, positions: beyond it a configuration is nonsense
_SHOWN = 5  # names in a message

# Field -> what it must be for the model to be ours; the first is transformers' default.
_REQUIRED: dict[str, tuple[Any, ...]] = {
    "vocab_size": (VOCABULARY_SIZE,),
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "layer_norm_epsilon": (LAYER_NORM_EPS,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
    "quantization_config": (None,),
}
_SIZES = {"n_layer": 12, "n_head": 12, "n_embd": 768, "n_positions": 1024}  # and transformers' defaults


@dataclass(frozen=True)
class _Entry:
    """A tensor of a safetensors file. key: its name there. dtype: as safetensors calls it."""

    path: str
    key: str
    shape: tuple[int, ...]
    dtype: str


def import_folder(
    folder: str, output: str, *, version: int | None = None, overwrite: bool = False
) -> tuple[GPT2Shape, Written]:
    """Write the GPT-2 in a local folder as a model file; returns its shape and what was written.

    version: 3 (float32) or 5 (bfloat16); by default 5 where all tensors are bfloat16, else 3. Raises UserError naming
    the file and the field or tensor for what is no GPT-2 as llm.c computes it, for tensors that are missing, unknown,
    of another shape or not finite, and for an output that exists (without `overwrite`).
    """
    if not is_local(folder):
        raise UserError(f"{folder}: a folder on S3 cannot be read from here; copy it to this machine first")
    folder = normalise(folder)
    if not os.path.isdir(folder):
        raise UserError(f"{folder}: no such folder; name the one that holds {CONFIG} and {WEIGHTS}")
    if exists(output) and not overwrite:
        raise UserError(f"{output} exists; pass --overwrite to replace it or choose another name")
    shape = shape_of(os.path.join(folder, CONFIG))
    tensors = _tensors(_weight_files(folder))
    _compare(folder, shape, tensors)
    flat = torch.zeros(shape.num_parameters)
    _fill(flat, shape, tensors)
    if version is None:
        version = 5 if {tensor.dtype for tensor in tensors.values()} == {"BF16"} else 3
    return shape, model_file.write(output, shape, flat, version)


def shape_of(path: str) -> GPT2Shape:
    """Return the shape that a `config.json` tells. Raises UserError naming the field that makes it no model of ours."""
    config = read_json(path, _AGAIN)
    if config.get("model_type") != "gpt2":
        raise UserError(f"{path}: model_type is {config.get('model_type')!r}; only 'gpt2' can be a model of llm.c")
    for field, allowed in _REQUIRED.items():
        value = config.get(field, allowed[0])
        if value not in allowed:
            must = " or ".join(map(repr, allowed))
            raise UserError(f"{path}: {field} is {value!r}, and llm.c's GPT-2 has {must}; give another model")
    sizes = {field: config.get(field, default) for field, default in _SIZES.items()}
    for field, value in sizes.items():
        if type(value) is not int or not 0 < value <= _MOST:
            raise UserError(f"{path}: {field} is {value!r}, which no GPT-2 has; copy the file anew")
    channels, heads = sizes["n_embd"], sizes["n_head"]
    if channels % heads:
        raise UserError(f"{path}: n_embd {channels} does not divide into n_head {heads} heads; copy the file anew")
    if config.get("n_inner") not in (None, 4 * channels):
        raise UserError(
            f"{path}: n_inner is {config['n_inner']!r}, and llm.c's GPT-2 has 4 n_embd, {4 * channels}; "
            "give another model"
        )
    return GPT2Shape(sizes["n_layer"], heads, channels, sizes["n_positions"])


def _weight_files(folder: str) -> list[str]:
    """Return the safetensors files with the weights: one, or those that the index names."""
    if os.path.isfile(os.path.join(folder, WEIGHTS)):
        return [os.path.join(folder, WEIGHTS)]
    index = os.path.join(folder, INDEX)
    if not os.path.isfile(index):
        pickles = [name for name in file_names(folder) if _PICKLE.fullmatch(name)]
        if pickles:
            raise UserError(
                f"{os.path.join(folder, pickles[0])}: a PyTorch pickle, which may run any program when it is opened: "
                "it is not read; where you trust it, open it with transformers and save it anew with save_pretrained, "
                f"which writes {WEIGHTS}"
            )
        raise UserError(f"{folder}: neither {WEIGHTS} nor {INDEX} is in it; name the folder that holds the weights")
    listed = read_json(index, _AGAIN).get("weight_map")
    if not isinstance(listed, dict) or not listed or not all(isinstance(name, str) for name in listed.values()):
        raise UserError(f"{index}: its weight_map does not tell the files of tensors; copy the file anew")
    names = sorted(set(listed.values()))
    for name in names:
        # A name with a path in it could lead anywhere on this machine.
        if re.search(r"[/\\\0]", name) or not name.endswith(".safetensors"):
            raise UserError(f"{index}: it names {name!r}, which is no safetensors file in this folder; do not use it")
        if not os.path.isfile(os.path.join(folder, name)):
            raise UserError(f"{os.path.join(folder, name)}: missing, and {INDEX} names it; copy the folder anew")
    return [os.path.join(folder, name) for name in names]


def _tensors(paths: Iterable[str]) -> dict[str, _Entry]:
    """Return what the files hold, by name without the prefix, but for buffers. Raises UserError for one met twice."""
    tensors: dict[str, _Entry] = {}
    for path in paths:
        with _opened(path) as file:
            for key in file.keys():  # noqa: SIM118 - no dict: it cannot be iterated
                name = key.removeprefix(PREFIX)
                if _BUFFER.fullmatch(name):
                    continue
                if name in tensors:
                    raise UserError(f"{path}: {key} is there twice, also as {tensors[name].key}; give another folder")
                part = file.get_slice(key)
                tensors[name] = _Entry(path, key, tuple(part.get_shape()), part.get_dtype())
    return tensors


def _compare(folder: str, shape: GPT2Shape, tensors: dict[str, _Entry]) -> None:
    """Raise UserError where the tensors are not those of the shape, all that is wrong in one message."""
    # On "meta" tensors have shapes and no memory: a configuration may tell more than there is.
    expected = {p.name: tuple(p.values.shape) for p in places(torch.empty(shape.num_parameters, device="meta"), shape)}
    expected_head = {**expected, _HEAD: expected["wte.weight"]}
    missing = [name for name in expected if name not in tensors]
    unknown = [tensor.key for name, tensor in tensors.items() if name not in expected_head]
    other = [
        f"{tensor.key} {list(tensor.shape)} instead of {list(expected_head[name])}"
        for name, tensor in tensors.items()
        if name in expected_head and tensor.shape != expected_head[name]
    ]
    types = [f"{tensor.key} {tensor.dtype}" for tensor in tensors.values() if tensor.dtype not in _DTYPES]
    wrong = [
        f"{what}: {', '.join(names[:_SHOWN])}{f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''}"
        for what, names in (
            ("missing", missing),
            ("unknown", unknown),
            ("of another shape", other),
            ("of a type other than F32, F16, BF16", types),
        )
        if names
    ]
    if wrong:
        raise UserError(
            f"{folder}: its tensors are not those of a GPT-2 with {shape}, which {CONFIG} tells; {'; '.join(wrong)}; "
            "give another folder"
        )


def _fill(flat: torch.Tensor, shape: GPT2Shape, tensors: dict[str, _Entry]) -> None:
    """Copy the tensors to their places. Raises UserError for values not finite and a head that is not `wte`."""
    with contextlib.ExitStack() as stack:
        files = {path: stack.enter_context(_opened(path)) for path in {tensor.path for tensor in tensors.values()}}

        def read(tensor: _Entry) -> torch.Tensor:
            values: torch.Tensor = files[tensor.path].get_tensor(tensor.key).float()
            if not torch.isfinite(values).all():
                raise UserError(f"{tensor.path}: {tensor.key} has values that are not finite; give another folder")
            return values

        for place in places(flat, shape):
            place.values.copy_(read(tensors[place.name]))
        if _HEAD in tensors and not torch.equal(read(tensors[_HEAD]), read(tensors["wte.weight"])):
            raise UserError(
                f"{tensors[_HEAD].path}: {_HEAD} is not wte.weight, and llm.c's GPT-2 has one matrix for both; "
                "give another model"
            )


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    """Open a safetensors file. Raises UserError naming it where it is damaged, at once or within the block."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: cannot be read as safetensors: {cause(error)}; {_AGAIN}") from error
