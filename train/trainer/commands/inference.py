"""The face of `train/inference_gpt2.py`: a model file, a prompt and how to draw -> text on the terminal as it comes."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkprep.console import say
from sparkprep.errors import UserError
from sparkprep.io.files import cause, open_input
from sparkprep.kinds import Integer, Number, OneOf, Switch, Text
from sparkprep.llmc import tokenizer_file
from sparkprep.options import from_arguments, option, options_of
from sparkprep.tokenizer import vocabulary
from sparkprep.tokenizer.vocabulary import END_OF_TEXT, VOCABULARY_SIZE
from trainer.flags import DEVICES, PRECISIONS, Parser, meaningless
from trainer.generate import prompts
from trainer.generate.sampler import DEFAULT_SEED, Choice, Coins, Sampler
from trainer.launch import guarded
from trainer.runs import parameters as run_parameters

if TYPE_CHECKING:
    from trainer.checkpoints.model_file import ModelHeader
    from trainer.models.layout import Model

DESCRIPTION = "Text that a model writes after a prompt."
EPILOG = """\
examples:
  %(prog)s -e log/model_00004725.bin -p "The GitHub project llm.c is a" -it data/gpt2_tokenizer.bin
  %(prog)s -e model.bin                                  text out of nothing: it begins from end-of-text
  %(prog)s -e model.bin -p "Once" --temperature 0        the likeliest token each time
  %(prog)s -e model.bin --prompt-file story.txt --samples 3 --top-k 40 --quiet

The same seed gives the same text on the same machine. In a prompt, <|endoftext|> is the token of that name; a prompt
file is taken byte for byte, its last line break too.

exit codes: docs/environment.md
"""
SEVERAL_MACHINES = tuple(
    meaningless(name, f"-{name}", kind=Text(empty=True)) for name in ("pn", "pr", "pg", "pm", "ps", "pp")
)
"""llm.c's flags about several machines, which are accepted."""


@dataclass(frozen=True)
class Request:
    """What to write, and with what."""

    model: str | None = option(None, "model file of llm.c (model_*.bin)", Text(), "FILE", ("-e",))
    prompt: str | None = option(
        None, "text to go on from; without one, from end-of-text", Text(empty=True), "TEXT", ("-p",)
    )
    prompt_file: str | None = option(None, "a file with the prompt instead", Text(), "FILE")
    tokenizer: str | None = option(
        None, "llm.c's tokenizer file (default: what comes with sparkprep)", Text(), "FILE", ("-it",)
    )
    max_seq_len: int | None = option(
        None, "most tokens of prompt and text (default: the model's)", Integer(2), short=("-t",)
    )
    tokens: int = option(256, "most tokens to write", Integer(1), short=("-g",))
    seed: int = option(DEFAULT_SEED, "of the random draws", Integer(1), short=("-s",))
    samples: int = option(1, "so many texts; the i-th, from 0, with seed + i", Integer(1))
    temperature: float = option(1.0, "below 1 likelier tokens, 0 always the likeliest", Number(0), "X")
    top_k: int | None = option(None, "draw only among the N likeliest (default: all)", Integer(1))
    top_p: float | None = option(
        None, "only the likeliest with this share (default: all)", Number(0, 1, above=True), "P"
    )
    ignore_end_of_text: bool = option(False, "go on after end-of-text, where a document ends", Switch())
    greedy_encoding: bool = option(
        False, "encode the prompt as llm.c's course version does, by longest match", Switch()
    )
    device: str = option("auto", "what to compute on", OneOf(DEVICES))
    precision: str = option(
        "auto", "number format; auto: bf16 on a GPU, fp32 on a CPU, whatever the file holds", OneOf(PRECISIONS)
    )
    quiet: bool = option(False, "print the text alone", Switch())
    debug: bool = option(False, "print the traceback of an error too", Switch())


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, write text and return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    return guarded(lambda: run(parse(words)), debug="--debug" in words)


def parse(words: Sequence[str]) -> Request:
    """Return what a command line asks for, after a note about its flags that mean nothing. Raises UserError."""
    parser = _parser()
    args = parser.parse_words(words)
    ignored = [flag.short[0] for flag in SEVERAL_MACHINES if flag.name in parser.given]
    if ignored:
        say(f"note: {', '.join(ignored)} mean nothing here, where one process writes; ignored", stream=sys.stderr)
    return from_arguments(Request, args)


def _parser() -> Parser:
    return Parser([*options_of(Request), *SEVERAL_MACHINES], description=DESCRIPTION, epilog=EPILOG)


def run(request: Request) -> int:
    """Load, tell what was loaded, and write. Raises UserError before any weight is read, but for damaged weights."""
    # Here, as PyTorch takes seconds to import, which --help must not.
    from trainer import device as devices
    from trainer.checkpoints import model_file
    from trainer.generate import generate

    if request.model is None:
        raise UserError("-e is missing; name a model file with it (model_*.bin)")
    Coins(request.seed + request.samples - 1)  # the last seed must do, too
    header = model_file.read_header(request.model)
    words = _words(request.tokenizer, header, request.model)
    positions = header.shape.max_seq_len
    generate.free_positions(1, positions, request.max_seq_len)
    ids = _prompt_ids(request, request.max_seq_len or positions)
    generate.free_positions(len(ids), positions, request.max_seq_len)
    device = devices.choose_device(request.device)
    dtype = devices.choose_dtype(request.precision, device)
    model = model_file.open_model(request.model, device=device, dtype=dtype)
    if not request.quiet:
        names = devices.device_name(device), devices.precision_name(dtype)
        say(run_parameters.format_table(_groups(request.model, header, *names)))
        say(f"Prompt: {generate.text_of(ids, words)}")
        say(f"Prompt tokens: {' '.join(map(str, ids))}\n")
    for number in range(request.samples):
        _write(request, model, words, ids, number)
    return 0


def _words(path: str | None, header: ModelHeader, model: str) -> tuple[bytes, ...]:
    """Return the bytes of each id. Raises UserError where tokenizer file or model have other tokens than GPT-2."""
    built_in = vocabulary.all_tokens()
    if header.shape.vocab_size != VOCABULARY_SIZE:
        raise UserError(
            f"{model}: it has {header.shape.vocab_size:,} tokens, not GPT-2's {VOCABULARY_SIZE:,}; "
            "give a model trained on GPT-2's tokens"
        )
    if path is None:
        return built_in
    given = tokenizer_file.read(path)
    if given.tokens != built_in or given.end_of_text != END_OF_TEXT:
        raise UserError(f"{path}: its tokens are not GPT-2's; leave out -it, GPT-2's come with sparkprep")
    return given.tokens


def _prompt_ids(request: Request, positions: int) -> list[int]:
    """Return the prompt's ids; end-of-text alone where there is none."""
    prompt = _prompt(request, prompts.LONGEST_TOKEN * positions)
    encode = prompts.encode_greedy if request.greedy_encoding else prompts.encode
    return encode(prompt) or [END_OF_TEXT]


def _prompt(request: Request, most: int) -> bytes:
    """Return the prompt's bytes. most: so many cannot fit, however they are encoded; refused unread."""
    if request.prompt_file is None:
        # An argument that was no UTF-8 comes with its bytes as surrogates.
        prompt = (request.prompt or "").encode("utf-8", "surrogateescape")
    elif request.prompt is not None:
        raise UserError("--prompt and --prompt-file were both given; give one")
    else:
        try:
            with open_input(request.prompt_file) as stream:
                prompt = stream.read(most + 1)
        except OSError as error:
            raise UserError(f"{request.prompt_file}: cannot be read: {cause(error)}") from error
    if len(prompt) > most:
        raise UserError(f"the prompt has more than {most:,} bytes, too many for the model's positions; shorten it")
    return prompt


def _groups(path: str, header: ModelHeader, device: str, precision: str) -> list[list[tuple[str, str]]]:
    """Return what the table at the start tells."""
    from trainer.loop.parameter_table import model_rows

    return [[("device", device), ("precision", precision)], [("model path", path), *model_rows(header.shape)]]


def _write(request: Request, model: Model, words: Sequence[bytes], ids: list[int], number: int) -> None:
    """Write one text, and around it what makes it readable. number: of the sample, from 0."""
    from trainer.generate import generate

    sampler = Sampler(request.seed + number, Choice(request.temperature, request.top_k, request.top_p))
    if request.samples > 1:
        seed = "" if request.quiet else f" sample {number + 1} of {request.samples}, seed {request.seed + number}"
        say(f"---{seed}")
    stream, count, ended = generate.TextStream(words), 0, False
    start = time.perf_counter()
    for token in generate.generate(
        model,
        ids,
        max_new=request.tokens,
        sampler=sampler,
        stop_at_end_of_text=not request.ignore_end_of_text,
        max_seq_len=request.max_seq_len,
    ):
        count += 1
        ended = token == END_OF_TEXT and not request.ignore_end_of_text
        say("" if ended else stream.feed(token), end="")
    seconds = time.perf_counter() - start
    say(stream.end())
    if request.quiet:
        return
    if ended:
        why = "EOT token"
    elif count == request.tokens:
        why = f"{count:,} new tokens (-g)"
    else:
        why = f"all {len(ids) + count:,} positions are taken (-t)"
    say(f"\n[Generation stopped: {why}]")
    say(f"{count:,} tokens in {seconds:.2f} s, {count / seconds:,.1f} tokens/s")
