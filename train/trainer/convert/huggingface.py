"""A model as a folder that Hugging Face's transformers opens: weights, configuration, tokenizer. How it is written.

Its GPT-2 holds the matrices of a layer as Conv1D, that is (in_features, out_features): transposed against ours. The
padded rows of the vocabulary stay out. The head is tied to `wte` and no tensor of its own.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from sparkprep.errors import UserError
from sparkprep.io.files import cause
from sparkprep.io.output import OutputFolder
from sparkprep.tokenizer import vocabulary
from sparkprep.tokenizer.vocabulary import END_OF_TEXT, END_OF_TEXT_WORD, VOCABULARY_SIZE
from trainer.checkpoints import model_file
from trainer.models.gpt2 import INITIAL_STD, LAYER_NORM_EPS, GPT2Shape
from trainer.models.layout import views_of

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
MADE = (
    r"config\.json",
    r"\w+_config\.json",
    r"model\.safetensors",
    r"special_tokens_map\.json",
    r"vocab\.json",
    r"merges\.txt",
)
"""Patterns of all files that an export makes; the first is there in every one."""
PREFIX = "transformer."
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

_OF_LAYER = {
    "ln1": "ln_1",
    "qkv": "attn.c_attn",
    "out": "attn.c_proj",
    "ln2": "ln_2",
    "up": "mlp.c_fc",
    "down": "mlp.c_proj",
}
_OF_MODEL = {"wte": "wte.weight", "wpe": "wpe.weight", "lnf.weight": "ln_f.weight", "lnf.bias": "ln_f.bias"}
_CONV1D = ("qkv", "out", "up", "down")


@dataclass(frozen=True)
class Place:
    """Where a tensor of Hugging Face's lies in the flat buffer.

    name: theirs, without the prefix. values: our part of the buffer, as they shape it: writing there fills the buffer.
    """

    name: str
    values: torch.Tensor


def places(flat: torch.Tensor, shape: GPT2Shape) -> Iterator[Place]:
    """Yield their tensors as views of our flat buffer of shape.num_parameters elements, without its padded rows."""
    for ours, parts in views_of(flat, shape.tensors()).items():
        if ours in _OF_MODEL:
            yield Place(_OF_MODEL[ours], parts[0][: shape.vocab_size] if ours == "wte" else parts[0])
            continue
        module, _, kind = ours.partition(".")
        for layer, part in enumerate(parts):
            turned = part.T if module in _CONV1D and kind == "weight" else part
            yield Place(f"h.{layer}.{_OF_LAYER[module]}.{kind}", turned)


def config_of(shape: GPT2Shape, dtype: torch.dtype) -> dict[str, Any]:
    """Return what `config.json` says of a model of ours. No dropout: none was there when it was trained."""
    name = next(name for name, stored in DTYPES.items() if stored == dtype)
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": shape.vocab_size,
        "n_positions": shape.max_seq_len,
        "n_ctx": shape.max_seq_len,
        "n_embd": shape.channels,
        "n_layer": shape.layers,
        "n_head": shape.heads,
        "n_inner": None,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": LAYER_NORM_EPS,
        "initializer_range": INITIAL_STD,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "reorder_and_upcast_attn": False,
        "tie_word_embeddings": True,
        "bos_token_id": END_OF_TEXT,
        "eos_token_id": END_OF_TEXT,
        "torch_dtype": name,
    }


def export(model: str, folder: str, *, dtype: str | None = None, overwrite: bool = False) -> GPT2Shape:
    """Write a model file as a folder, local, that appears whole or not at all; returns the model's shape.

    dtype: one of DTYPES, by default that of the file. Raises UserError for what is no model file, for other tokens than
    GPT-2's, where the folder exists (without `overwrite`) and where it cannot be written.
    """
    header = model_file.read_header(model)
    shape = header.shape
    if not isinstance(shape, GPT2Shape):
        raise UserError(f"{model}: its model is {shape.NAME}, and only GPT-2 can be exported; give another model")
    if shape.vocab_size != VOCABULARY_SIZE:
        raise UserError(
            f"{model}: it has {shape.vocab_size:,} tokens, not GPT-2's {VOCABULARY_SIZE:,}, whose tokenizer the folder "
            "would get; give a model trained on GPT-2's tokens"
        )
    as_dtype = DTYPES[dtype] if dtype else header.dtype
    with OutputFolder(folder, overwrite, inputs=[model], made=MADE) as output:
        flat = model_file.open_model(model).flat
        tensors = {PREFIX + place.name: place.values.to(as_dtype).contiguous() for place in places(flat, shape)}
        try:
            for name, text in _texts(shape, as_dtype).items():
                with open(os.path.join(output.work, name), "w", encoding="utf-8") as file:
                    file.write(text)
            weights = os.path.join(output.work, WEIGHTS)
            save_file(tensors, weights, metadata={"format": "pt"})
            shutil.copymode(os.path.join(output.work, CONFIG), weights)  # safetensors lets the owner alone read it
        except (OSError, SafetensorError) as error:
            raise UserError(f"{folder}: cannot be written: {cause(error)}") from error
        output.commit()
    return shape


def _texts(shape: GPT2Shape, dtype: torch.dtype) -> dict[str, str]:
    """Return the files beside the weights, by name."""
    merges = "".join(f"{left} {right}\n" for left, right in vocabulary.merges())
    ids = {**vocabulary.shown_ranks(), END_OF_TEXT_WORD.decode(): END_OF_TEXT}
    return {
        CONFIG: _json(config_of(shape, dtype)),
        "generation_config.json": _json({"bos_token_id": END_OF_TEXT, "eos_token_id": END_OF_TEXT}),
        "tokenizer_config.json": _json(_tokenizer_config(shape)),
        "special_tokens_map.json": _json(_special_tokens()),
        "vocab.json": json.dumps(ids, ensure_ascii=False),
        "merges.txt": f"#version: 0.2\n{merges}",
    }


def _special_tokens() -> dict[str, str]:
    return {f"{role}_token": END_OF_TEXT_WORD.decode() for role in ("bos", "eos", "unk")}


def _tokenizer_config(shape: GPT2Shape) -> dict[str, Any]:
    return {
        "tokenizer_class": "GPT2Tokenizer",
        "model_max_length": shape.max_seq_len,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        **_special_tokens(),
    }


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"
