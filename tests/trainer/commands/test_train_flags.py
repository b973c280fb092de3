"""The trainer reads the course's command lines as llm.c's fork does, and says in one line what it cannot read."""

import re
import shutil
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.errors import UserError
from sparkprep.kinds import Switch
from sparkprep.options import options_of
from trainer import flags
from trainer.commands.train import main
from trainer.flags import IGNORED
from trainer.models.gpt2 import GPT2Shape
from trainer.settings import TrainSettings, parse

# The fork's flags, as its parser reads them, with the defaults that its code has (its help tells others), and the names
# that their values have here.
FORK = {
    "-id": ("data/fineweb_train_*.bin", "train_data"),
    "-iv": ("data/fineweb_val_*.bin", "val_data"),
    "-it": ("data/gpt2_tokenizer.bin", "tokenizer"),
    "-ih": ("data/hellaswag_val.bin", "hellaswag_data"),
    "-o": ("log", "output"),
    "-lg": (-1, "gpu_info_every"),
    "-n": (1000, "checkpoint_every"),
    "-nk": (0, "keep"),
    "-nm": (0, "keep_multiple"),
    "-y": (0, "resume"),
    "-1d": (12, "layers"),
    "-1c": (768, "channels"),
    "-1h": (12, "heads"),
    "-b": (64, "micro_batch"),
    "-t": (1024, "seq_len"),
    "-d": (524288, "total_batch"),
    "-x": (4725, "steps"),
    "-es": (-1, "stop_after"),
    "-ss": (0, "start_step"),
    "-k": ("cosine", "scheduler"),
    "-l": (6e-4, "learning_rate"),
    "-u": (470, "warmup"),
    "-q": (0.0, "final_fraction"),
    "-c": (0.1, "weight_decay"),
    "-sl": (0.0, "skip_loss"),
    "-sg": (0.0, "skip_norm"),
    "-v": (250, "val_every"),
    "-m": (20, "val_batches"),
    "-s": (20000, "sample_every"),
    "-g": (64, "sample_tokens"),
    "-h": (1, "hellaswag"),
    "-a": (0, "overfit"),
    "-w": (1, "masters"),
    "-r": (1, "recompute"),
}
# Flags of the fork about TF32, kernels and several GPUs.
MEANINGLESS = {
    "-f": "1",
    "-ge": "0",
    "-z": "1",
    "-pn": "1",
    "-pr": "0",
    "-pg": "8",
    "-pi": "mpi",
    "-pm": "mpi",
    "-pf": "/fs",
    "-pp": "/fs",
    "-ps": "10.0.0.1",
}


def values(settings: TrainSettings) -> dict[str, object]:
    """All but the set of flags given."""
    return {name: value for name, value in asdict(settings).items() if name != "given"}


def split(line: str) -> list[str]:
    return line.split()


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which the script ends; the code is 2 and nothing else is printed."""
    code = main(words)
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return err


def test_the_courses_first_command_line_changes_what_it_names_and_nothing_else() -> None:
    settings = parse(["-o", "my_first_experiment", "-b", "32", "-x", "20"])
    expected = values(parse([])) | {"output": "my_first_experiment", "micro_batch": 32, "steps": 20}
    assert values(settings) == expected
    assert settings.given == {"output", "micro-batch", "steps"}
    assert settings.micro_steps == 16


@pytest.mark.parametrize("letter", ["1", "l"])
def test_the_courses_long_command_line_is_read_with_the_digit_and_with_the_letter(letter: str) -> None:
    line = f"-o logGPT -{letter}d 12 -{letter}c 768 -{letter}h 12 -b 32 -y 1 -e seed_model.bin -ss 2365 -l 0.002"
    settings = parse(line.split())
    expected = values(parse([])) | {
        "output": "logGPT",
        "layers": 12,
        "channels": 768,
        "heads": 12,
        "micro_batch": 32,
        "resume": True,
        "model": "seed_model.bin",
        "start_step": 2365,
        "learning_rate": 0.002,
    }
    assert values(settings) == expected
    assert settings.model_file == "seed_model.bin"
    assert {"layers", "channels", "heads"} < settings.given


@pytest.mark.parametrize("letter", ["1", "l"])
def test_each_of_both_spellings_sets_the_shape(letter: str) -> None:
    settings = parse(f"-{letter}d 3 -{letter}c 40 -{letter}h 5".split())
    assert settings.shape == GPT2Shape(layers=3, heads=5, channels=40)


def test_no_flag_at_all_means_the_forks_defaults() -> None:
    settings = values(parse([]))
    assert {name: settings[name] for _, name in FORK.values()} == {name: value for value, name in FORK.values()}
    assert settings["model"] is None
    assert parse([]).micro_steps == 8


def test_every_flag_of_the_fork_is_accepted_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for flag, (value, _) in FORK.items() for word in (flag, str(value))]
    settings = parse(words)
    assert values(settings) == values(parse([]))
    assert len(settings.given) == len(FORK)
    assert capsys.readouterr().err == ""


def test_every_flag_of_upstream_that_the_fork_renamed_is_accepted() -> None:
    settings = parse(["-i", "a_*.bin", "-j", "b_*.bin"])
    assert (settings.train_data, settings.val_data) == ("a_*.bin", "b_*.bin")


def test_flags_without_meaning_are_accepted_and_named_once_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    settings = parse([word for pair in MEANINGLESS.items() for word in pair] + ["-b", "32", "-z", "1"])
    assert values(settings) == values(parse(["-b", "32"]))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    said = err.strip().removeprefix("without meaning here: ").split(", ")
    assert said == ["-f", "-ge", "-z", "-pn", "-pr", "-pg", "-pi", "-pf", "-ps"]  # -pm and -pp are second spellings


def test_a_long_name_is_another_spelling_of_the_short_one() -> None:
    short = split("-id a -e x.bin -o b -n 7 -y 1 -b 2 -t 64 -d 128 -x 9 -es 8 -ss 3 -l 0.1 -m -1 -h 0 -sl 3")
    long = split(
        "--train-data a --model x.bin --output b --checkpoint-every 7 --resume 1 --micro-batch 2 --seq-len 64 "
        "--total-batch 128 --steps 9 --stop-after 8 --start-step 3 --learning-rate 0.1 --val-batches -1 --hellaswag 0 "
        "--skip-loss 3"
    )
    assert parse(short) == parse(long)
    glued = [f"{flag}={value}" for flag, value in zip(long[::2], long[1::2], strict=True)]
    assert parse(glued) == parse(long)


def test_flags_of_our_own_are_read() -> None:
    line = (
        "--val-tokens 2048 --on-nan skip --deterministic --compile no --device cpu --precision bf16 --threads 2 --debug"
    )
    settings = parse(line.split())
    found = (settings.val_tokens, settings.on_nan, settings.compile, settings.device, settings.precision)
    assert found == (2048, "skip", "no", "cpu", "bf16")
    assert (settings.deterministic, settings.threads, settings.debug) == (True, 2, True)


@pytest.mark.parametrize(
    ("flag", "name"),
    [("-es", "stop_after"), ("-d", "total_batch"), ("-x", "steps"), ("-m", "val_batches"), ("-lg", "gpu_info_every")],
)
def test_minus_one_is_a_value_and_no_flag(flag: str, name: str) -> None:
    assert values(parse([flag, "-1", "-b", "32"])) == values(parse([])) | {name: -1, "micro_batch": 32}


def test_without_accumulation_an_update_is_one_micro_batch() -> None:
    settings = parse(["-d", "-1", "-b", "6", "-t", "50"])
    assert (settings.tokens_per_update, settings.micro_steps) == (300, 1)


@pytest.mark.parametrize(("word", "on"), [("0", False), ("1", True)])
def test_h_with_a_number_switches_hellaswag(word: str, on: bool) -> None:
    assert parse(["-h", word]).hellaswag is on


@pytest.mark.parametrize("words", [["-h"], ["-h", "-b", "32"], ["-b", "32", "-h"], ["--help"], ["-o", "x", "--help"]])
def test_h_without_a_number_prints_the_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    out, err = capsys.readouterr()
    assert (left.value.code, err) == (0, "")
    assert out.startswith("usage: train_gpt2.py")
    assert "-ss 2365 -l 0.002" in out  # the course's line among the examples


def test_the_help_shows_each_default_as_the_settings_have_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        parse(["--help"])
    options = re.split(r"\n  (?=-)", capsys.readouterr().out.partition("examples:")[0])
    settings = values(parse([]))
    for flag in [*options_of(TrainSettings), *IGNORED]:
        (line,) = (each.strip() for each in options[1:] if flag.flag in each.split())
        value = settings.get(flag.name)
        if value is None or isinstance(flag.kind, Switch):
            assert "default" not in line, flag.name
        else:
            shown = int(value) if isinstance(value, bool) else value  # type: ignore[call-overload]
            assert line.endswith(f"(default {shown})"), flag.name


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-q9 1", "unknown flag -q9"),
        ("-zz 1", "unknown flag -zz"),
        ("--lerning-rate 1", "unknown flag --lerning-rate; did you mean --learning-rate?"),
        ("--learning 1", "unknown flag --learning; did you mean --learning-rate?"),
        ("--val 1", "unknown flag --val"),
        ("-1 12", "unknown flag -1"),
        ("-deterministic", "unknown flag -deterministic; did you mean --deterministic?"),
        ("-b 32 -o", "-o: its value is missing"),
        ("-o log -e", "backslash lost"),
        ("-b 32 64", "'64' stands where a flag was expected"),
        ("train -b 32", "'train' stands where a flag was expected"),
        ("-l abc", "-l/--learning-rate: 'abc' is not a number"),
        ("-l nan", "-l/--learning-rate: 'nan' is not a finite number"),
        ("-l inf", "-l/--learning-rate: 'inf' is not a finite number"),
        ("-l 0", "-l/--learning-rate: 0 is not above 0"),
        ("-l -0.1", "-l/--learning-rate: -0.1 is not above 0"),
        ("-b 1.5", "-b/--micro-batch: '1.5' is not a whole number"),
        ("-b 0", "-b/--micro-batch: 0 is below 1"),
        ("-b -1", "-b/--micro-batch: -1 is below 1"),
        ("-es 0", "-es/--stop-after: 0 is below 1 (or -1)"),
        ("-d -2", "-d/--total-batch: -2 is below 1 (or -1)"),
        ("-m 0", "-m/--val-batches: 0 is below 1 (or -1)"),
        ("-q 1.5", "-q/--final-fraction: 1.5 is above 1"),
        ("-c -0.1", "-c/--weight-decay: -0.1 is below 0"),
        ("-r 3", "-r/--recompute: 3 is above 2"),
        ("-k foo", "-k/--scheduler: 'foo' is none of cosine, linear, constant, wsd"),
        ("-y 2", "-y/--resume: '2' is neither 0 nor 1"),
        ("-h 2", "-h/--hellaswag: '2' is neither 0 nor 1"),
        ("-a yes", "-a/--overfit: 'yes' is neither 0 nor 1"),
        ("-pn 8", "-pn 8: this trainer is one process on one GPU"),
        ("--device tpu", "--device: 'tpu' is none of auto, cpu, cuda"),
        ("--on-nan ignore", "--on-nan: 'ignore' is none of stop, skip"),
        ("--deterministic=1", "--deterministic takes no value"),
        ("-o=", "-o/--output: an empty word was given"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refused(line.split(), capsys)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-b 48", "-b 48 times -t 1024 does not divide -d 524288; with these -t and -d, -b 16, 32, 64 would"),
        ("-d 1000", "-d 1000 is no multiple of -t 1024; take -d 65536"),
        ("-d 4096 -b 8", "-b 8 times -t 1024 does not divide -d 4096; with these -t and -d, -b 1, 2, 4 would"),
        ("-d 1000000000000000 -t 1000 -b 7", "does not divide -d 1000000000000000"),
        ("-x 100 -es 101", "-es 101 lies beyond -x 100"),
        ("-x 100 -ss 101", "-ss 101 lies beyond -x 100"),
        ("-1c 100", "-1c 100 channels do not divide into -1h 12 heads"),
        ("-e weights.pt", "-e weights.pt: neither a .bin file nor one of d12, d24, d36, d48"),
        ("-e d24 -1d 12", "-e d24 has 24 layers, 1024 channels, 16 heads, which -1d contradicts"),
        ("--val-tokens 3000", "--val-tokens 3000 is no multiple of -t 1024; take 2048"),
        ("-o s3://bucket/log", "checkpoints are written to a local folder"),
    ],
)
def test_values_that_do_not_go_together_are_refused_with_the_way_out(
    line: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError) as error:
        parse(line.split())
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert main(line.split()) == 2
    assert capsys.readouterr().err == f"error: {error.value}\n"


def test_all_that_does_not_go_together_is_said_at_once() -> None:
    with pytest.raises(UserError, match=r"-b 48 .*; -ss 9 lies beyond .*; -1c 100 channels"):
        parse(["-b", "48", "-ss", "9", "-x", "8", "-1c", "100"])


def test_a_shape_that_the_model_file_decides_need_not_divide() -> None:
    assert parse(["-e", "seed.bin", "-1c", "100"]).channels == 100


def test_a_shape_that_agrees_with_a_named_model_may_be_given() -> None:
    settings = parse(["-e", "d24", "-1d", "24", "-1c", "1024", "-1h", "16"])
    assert (settings.shape, settings.model_file) == (GPT2Shape(24, 16, 1024), None)


def test_an_output_that_is_a_file_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("output") / "log"
    path.write_text("mine")
    with pytest.raises(UserError, match="is a file; name a folder"):
        parse(["-o", str(path)])
    assert path.read_text() == "mine"
    shutil.rmtree(path.parent)


PAIRS = st.fixed_dictionaries(
    {},
    optional={
        "-b": st.sampled_from(["1", "2", "64"]),
        "-es": st.sampled_from(["-1", "20"]),
        "-e": st.sampled_from(["x.bin", "d12", "-1.bin"]),
        "-h": st.sampled_from(["0", "1"]),
        "-1h": st.sampled_from(["4", "12"]),
        "-l": st.floats(1e-9, 10).map(str),
        "-s": st.integers(0, 50).map(str),
        "-sl": st.floats(0, 10).map(str),
        "-ss": st.integers(0, 20).map(str),
        "-o": st.sampled_from(["log", "a=b", "-y", "with blank"]),
        "-m": st.sampled_from(["-1", "5"]),
        "-y": st.sampled_from(["0", "1"]),
        "-z": st.sampled_from(["0", "1"]),
    },
)


@given(pairs=PAIRS, data=st.data())
def test_the_order_of_pairs_does_not_matter(pairs: dict[str, str], data: st.DataObject) -> None:
    if pairs.get("-e") == "d12":
        pairs.pop("-1h", None)  # may contradict it
    shuffled = data.draw(st.permutations(list(pairs.items())))
    settings = parse([word for pair in shuffled for word in pair])
    assert settings == parse([word for pair in sorted(pairs.items()) for word in pair])
    by_flag = {word: flag for flag in options_of(TrainSettings) for word in flag.short}
    for word, value in pairs.items():
        if word != "-z":
            found = getattr(settings, by_flag[word].name)
            assert str(int(found) if isinstance(found, bool) else found) == value or float(value) == found


def test_of_a_flag_given_twice_the_last_value_counts() -> None:
    assert parse(["-b", "32", "-x", "20", "-b", "16"]).micro_batch == 16


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-lr", "0.1"], "unknown flag -lr; did you mean -l?"),
        (["--batch_size", "8"], "unknown flag --batch_size; did you mean -b?"),
        (["–b", "32"], "'–b' stands where a flag was expected; its dash is a typographic one, as in a PDF; type -b"),
        (["—val-every", "3"], "type --val-every"),
        (["-es", "−1"], "'−1' is not a whole number; its dash is a typographic one"),
        (["-e", "–y", "1"], "-e: '–y' cannot be meant; its dash"),
        (["-i", "“data/*_train_*.bin”"], "its quotation marks are typographic ones, as in a PDF; type straight ones"),
        (["-o", "„my", "run“"], "-o: '„my' cannot be meant; its quotation marks"),
        (["-l", "‘6e-4’"], "is not a number; its quotation marks"),
        (["-b", "32", " ", "-x", "20"], "a backslash that ends a line must be the line's last character"),
        (["-o", "log", "\r"], "without a blank (or a carriage return of Windows) behind it"),
        (["-o", "log", " -b", "32"], "a blank belongs to it: take away the one behind the backslash; type -b"),
        (["-i", "d/a_train_1.bin", "d/a_train_2.bin", "-b", "8"], "give -i 'd/a_train_*.bin', in quotes"),
        (["-iv", "d/x.bin", "d/x.json", "d/y.bin"], "give -iv 'd/*', in quotes"),
        (["-e", "log/model_1.bin", "log/model_2.bin"], "a shell makes several words of a pattern; give one"),
    ],
)
def test_what_a_pdf_or_a_shell_made_of_a_line_is_told(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in refused(words, capsys)


def test_every_flag_that_other_trainers_have_leads_to_one_that_is_there() -> None:
    known = {word for option in options_of(TrainSettings) for word in (*option.short, option.flag)}
    assert set(flags._ELSEWHERE.values()) <= known
    assert not {f"-{name}" for name in flags._ELSEWHERE} & known
    assert not {f"--{name}" for name in flags._ELSEWHERE} & known
