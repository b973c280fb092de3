"""transformers opens an exported folder and computes what we compute; what is not our GPT-2 is refused by name."""

import json
import os
import shutil

import pytest
import torch
from bounds import hidden_roundings, likely
from safetensors.torch import load_file, save_file

from sparkprep.errors import UserError
from sparkprep.tokenizer.tokenizer import self_check_strings
from trainer.checkpoints import model_file
from trainer.commands import convert_hf as convert_hf_cli
from trainer.convert import huggingface
from trainer.convert.huggingface_import import import_folder
from trainer.generate import prompts
from trainer.models.gpt2 import GPT2, GPT2Shape

SHAPE = GPT2Shape(2, 2, 32, 64)


@pytest.fixture(scope="module")
def model():
    """Weights of which no two tensors are alike, biases and norms included."""
    made = GPT2(SHAPE)
    made.initialise()
    padding = made.flat[: SHAPE.padded_vocab_size * SHAPE.channels].view(-1, SHAPE.channels)[SHAPE.vocab_size :]
    with torch.no_grad():
        made.flat += 0.1 * torch.randn(made.flat.shape, generator=torch.Generator().manual_seed(1))
        padding.zero_()
    return made


@pytest.fixture(scope="module")
def made(model, tmp_path_factory):
    """model.bin (float32), low.bin (bfloat16) and `exported`, the folder of the first."""
    folder = tmp_path_factory.mktemp("huggingface")
    model_file.write(f"{folder}/model.bin", SHAPE, model.flat, 3)
    model_file.write(f"{folder}/low.bin", SHAPE, model.flat, 5)
    assert convert_hf_cli.main(["export", f"{folder}/model.bin", f"{folder}/exported"]) == 0
    return folder


@pytest.fixture
def copy(made, tmp_path):
    """A copy of the exported folder, to be spoiled."""
    shutil.copytree(made / "exported", tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture(scope="module")
def transformers():
    os.environ["HF_HUB_OFFLINE"] = "1"
    import transformers

    return transformers


def respell(folder, **fields):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **fields}))


def rewrite(folder, change):
    """Save the weights anew as `change` turns the dictionary of them."""
    path = folder / "model.safetensors"
    save_file({name: each.contiguous() for name, each in change(load_file(path)).items()}, path)


def same_bytes(first, second):
    return first.read_bytes() == second.read_bytes()


def test_transformers_gives_the_logits_that_we_give(made, model, transformers):
    theirs = transformers.AutoModelForCausalLM.from_pretrained(made / "exported").eval()
    ids = torch.randint(0, 50257, (2, 64), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        found, expected = theirs(ids).logits, model.logits(model.hidden(ids))
    assert found.shape == (2, 64, 50257)
    assert expected.abs().max() > 1
    # Both have their roundings, relative to the terms of a logit. The exact GELU instead of the tanh, or an eps of
    # 1e-6 in the norms (1e-3), changes logits by more.
    terms = 32**0.5 * model.lnf_weight.detach().abs().max() * model.wte.detach().norm(dim=1).max()
    of_logits = 2 * likely(hidden_roundings(SHAPE, 64) + 32) * float(terms)
    torch.testing.assert_close(found, expected, atol=of_logits, rtol=0)
    written = theirs.generate(ids[:1, :5], max_new_tokens=5, do_sample=False)
    assert written.shape[1] <= 10


def test_transformers_tokenizer_gives_our_ids(made, transformers):
    tokenizer = transformers.AutoTokenizer.from_pretrained(made / "exported")
    for text in [*self_check_strings(), "a<|endoftext|>b", "<|endoftext|>"]:
        assert tokenizer(text)["input_ids"] == prompts.encode(text.encode())
    assert (tokenizer.eos_token_id, tokenizer.bos_token_id, len(tokenizer)) == (50256, 50256, 50257)
    assert tokenizer.decode([31373, 11, 764]) == "hello, ."


def test_what_transformers_saves_comes_back(made, tmp_path, transformers):
    theirs = transformers.AutoModelForCausalLM.from_pretrained(made / "exported")
    theirs.save_pretrained(tmp_path / "saved", max_shard_size="1MB")
    assert (tmp_path / "saved/model.safetensors.index.json").exists()
    import_folder(str(tmp_path / "saved"), str(tmp_path / "back.bin"))
    assert same_bytes(tmp_path / "back.bin", made / "model.bin")


@pytest.mark.parametrize(("name", "version"), [("model.bin", 3), ("low.bin", 5)])
def test_export_and_import_give_the_same_file(made, tmp_path, name, version):
    huggingface.export(str(made / name), str(tmp_path / "folder"))
    import_folder(str(tmp_path / "folder"), str(tmp_path / "back.bin"))
    assert model_file.read_header(str(tmp_path / "back.bin")).version == version
    assert same_bytes(tmp_path / "back.bin", made / name)


def test_all_files_of_a_folder_may_be_read_by_the_same_people(made):
    assert len({path.stat().st_mode for path in (made / "exported").iterdir()}) == 1


def test_dtype_and_version_say_what_is_written(made, tmp_path):
    huggingface.export(str(made / "model.bin"), str(tmp_path / "low"), dtype="bfloat16")
    assert {each.dtype for each in load_file(tmp_path / "low/model.safetensors").values()} == {torch.bfloat16}
    assert json.loads((tmp_path / "low/config.json").read_text())["torch_dtype"] == "bfloat16"
    code = convert_hf_cli.main(["import", str(made / "exported"), str(tmp_path / "low.bin"), "--version", "5"])
    assert code == 0
    assert same_bytes(tmp_path / "low.bin", made / "low.bin")


def test_names_without_prefix_mask_buffers_and_a_tied_head_are_read(made, copy, tmp_path):
    def older(tensors):
        mask = {f"transformer.h.{i}.attn.bias": torch.ones(1, 1, 64, 64) for i in range(2)}
        masked = {"transformer.h.0.attn.masked_bias": torch.tensor(-1e4)}
        head = {"lm_head.weight": tensors["transformer.wte.weight"].clone()}
        every = {**tensors, **mask, **masked}
        return {**{name.removeprefix("transformer."): each for name, each in every.items()}, **head}

    rewrite(copy, older)
    import_folder(str(copy), str(tmp_path / "back.bin"))
    assert same_bytes(tmp_path / "back.bin", made / "model.bin")


def test_float16_is_widened(copy, tmp_path):
    rewrite(copy, lambda tensors: {name: each.half() for name, each in tensors.items()})
    import_folder(str(copy), str(tmp_path / "back.bin"))
    back = model_file.open_model(str(tmp_path / "back.bin"))
    assert model_file.read_header(str(tmp_path / "back.bin")).version == 3
    half = load_file(copy / "model.safetensors")["transformer.h.1.mlp.c_fc.weight"]
    assert torch.equal(back.leaves("up.weight")[1], half.float().T)


@pytest.mark.parametrize(
    "fields",
    [
        {"model_type": "gptj"},
        {"vocab_size": 50304},
        {"activation_function": "relu"},
        {"n_inner": 100},
        {"layer_norm_epsilon": 1e-6},
        {"scale_attn_weights": False},
        {"scale_attn_by_inverse_layer_idx": True},
        {"add_cross_attention": True},
        {"tie_word_embeddings": False},
        {"quantization_config": {"bits": 4}},
        {"n_layer": 0},
        {"n_layer": "2"},
        {"n_embd": 1 << 40},
        {"n_head": 3},
    ],
)
def test_a_configuration_of_another_model_is_refused_by_its_field(copy, tmp_path, fields):
    respell(copy, **fields)
    with pytest.raises(UserError, match=next(iter(fields))):
        import_folder(str(copy), str(tmp_path / "back.bin"))
    assert not (tmp_path / "back.bin").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: {n: e for n, e in t.items() if n != "transformer.ln_f.bias"}, "missing: ln_f.bias"),
        (lambda t: {**t, "transformer.h.2.ln_1.bias": torch.ones(32)}, "unknown: transformer.h.2.ln_1.bias"),
        (lambda t: {**t, "transformer.wpe.weight": torch.ones(63, 32)}, r"transformer.wpe.weight \[63, 32\] instead"),
        (lambda t: {**t, "transformer.ln_f.bias": torch.ones(32, dtype=torch.int8)}, "transformer.ln_f.bias I8"),
        (lambda t: {**t, "transformer.ln_f.bias": torch.full((32,), torch.inf)}, "ln_f.bias has values that are not"),
        (lambda t: {**t, "ln_f.bias": torch.ones(32)}, "ln_f.bias is there twice"),
        (lambda t: {**t, "lm_head.weight": t["transformer.wte.weight"] + 1}, "lm_head.weight is not wte.weight"),
    ],
)
def test_tensors_of_another_model_are_refused_by_name(copy, tmp_path, change, told):
    rewrite(copy, change)
    with pytest.raises(UserError, match=told):
        import_folder(str(copy), str(tmp_path / "back.bin"))


def test_a_configuration_larger_than_its_tensors_takes_no_memory(copy, tmp_path):
    respell(copy, n_embd=1 << 14, n_layer=48, n_head=16)
    with pytest.raises(UserError, match=r"missing: .* and \d+ more; of another shape"):
        import_folder(str(copy), str(tmp_path / "back.bin"))


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "a\\b.safetensors", "..", "weights.bin"])
def test_an_index_that_leads_out_of_the_folder_is_refused(copy, tmp_path, name):
    (copy / "model.safetensors").rename(tmp_path / "secret.safetensors")
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"wte.weight": name}}))
    with pytest.raises(UserError, match="do not use it"):
        import_folder(str(copy), str(tmp_path / "back.bin"))


@pytest.mark.parametrize("index", ["{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}', "\udcff"])
def test_an_index_that_is_none_is_named(copy, tmp_path, index):
    (copy / "model.safetensors").unlink()
    (copy / "model.safetensors.index.json").write_text(index, errors="surrogateescape")
    with pytest.raises(UserError, match=r"index\.json"):
        import_folder(str(copy), str(tmp_path / "back.bin"))


def test_files_that_are_missing_damaged_or_pickles_are_named(copy, tmp_path):
    weights, back = copy / "model.safetensors", str(tmp_path / "back.bin")
    whole = weights.read_bytes()
    for content in (b"", b"hello", whole[:100], whole[:-1]):
        weights.write_bytes(content)
        with pytest.raises(UserError, match=r"model\.safetensors: cannot be read as safetensors"):
            import_folder(str(copy), back)
    weights.unlink()
    with pytest.raises(UserError, match=r"neither model\.safetensors nor"):
        import_folder(str(copy), back)
    (copy / "model.safetensors.index.json").write_text('{"weight_map": {"wte.weight": "model-1.safetensors"}}')
    with pytest.raises(UserError, match=r"model-1\.safetensors: missing"):
        import_folder(str(copy), back)
    (copy / "model.safetensors.index.json").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"pytorch_model\.bin: a PyTorch pickle.*save_pretrained"):
        import_folder(str(copy), back)
    (copy / "config.json").write_text("nothing")
    with pytest.raises(UserError, match=r"config\.json: not sound JSON .*; copy it anew"):
        import_folder(str(copy), back)
    (copy / "config.json").unlink()
    with pytest.raises(UserError, match=r"config\.json: cannot be read"):
        import_folder(str(copy), back)
    with pytest.raises(UserError, match="no such folder"):
        import_folder(str(copy / "none"), back)


def test_nothing_that_exists_is_replaced_unasked(made, tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/note.txt").write_text("mine")
    (tmp_path / "old.bin").write_text("mine")
    export = ["export", str(made / "model.bin"), str(tmp_path / "folder")]
    back = ["import", str(made / "exported"), str(tmp_path / "old.bin")]
    for command in (export, back):
        assert convert_hf_cli.main(command) == 2
        assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "folder/note.txt").read_text() == (tmp_path / "old.bin").read_text() == "mine"
    assert convert_hf_cli.main([*export, "--overwrite"]) == 2
    assert "a run of this kind does not make (note.txt)" in capsys.readouterr().err
    (tmp_path / "folder/note.txt").unlink()
    for command in (export, export, back):
        assert convert_hf_cli.main([*command, "--overwrite"]) == 0
    assert same_bytes(tmp_path / "old.bin", made / "model.bin")


def test_an_export_that_fails_leaves_nothing(made, tmp_path, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(huggingface, "save_file", full)
    with pytest.raises(UserError, match="No space left"):
        huggingface.export(str(made / "model.bin"), str(tmp_path / "folder"))
    assert list(tmp_path.iterdir()) == []


def test_a_model_file_that_is_none_is_named(made, tmp_path, capsys):
    cases = [("config.json", "not a model file"), ("none.bin", "cannot be read")]
    for name, told in cases:
        assert convert_hf_cli.main(["export", str(made / "exported" / name), str(tmp_path / "folder")]) == 2
        err = capsys.readouterr().err
        assert told in err
        assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
