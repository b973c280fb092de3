"""The face of `train/inference_gpt2.py`: a model file, a prompt and how to draw -> text on the terminal as it comes."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparkprep.errors import UserError
from sparkprep.io.files import cause, open_input
from sparkprep.llmc import tokenizer_file
from sparkprep.tokenizer import vocabulary
from sparkprep.tokenizer.vocabulary import END_OF_TEXT, VOCABULARY_SIZE
from trainer import flags
from trainer.console import guarded
from trainer.flags import Flag
from trainer.generate import prompts
from trainer.generate.sampler import DEFAULT_SEED, Choice, Coins, Sampler
from trainer.runs import parameters as run_parameters

if TYPE_CHECKING:
    from trainer.checkpoints.model_file import ModelHeader
    from trainer.models.gpt2 import GPT2

DESCRIPTION = "Text that a model writes after a prompt."
EPILOG = """\
examples:
  %(prog)s -e log/model_00004725.bin -p "The GitHub project llm.c is a" -it data/gpt2_tokenizer.bin
  %(prog)s -e model.bin                                  text out of nothing: it begins from end-of-text
  %(prog)s -e model.bin -p "Once" --temperature 0        the likeliest token each time
  %(prog)s -e model.bin --prompt-file story.txt --samples 3 --top-k 40 --quiet

The same seed gives the same text on the same machine. In a prompt, <|endoftext|> is the token of that name; a prompt
file is taken byte for byte, its last line break too.

exit code: 0; 2 for a mistake in the command line or a file
"""
_SEVERAL_MACHINES = ("pn", "pr", "pg", "pm", "ps", "pp")
FLAGS = (
    Flag("model", ("-e",), None, flags.text, "model file of llm.c (model_*.bin)", "FILE"),
    Flag("prompt", ("-p",), None, str, "text to go on from; without one, from end-of-text", "TEXT"),
    Flag("prompt-file", (), None, flags.text, "a file with the prompt instead", "FILE"),
    Flag(
        "tokenizer", ("-it",), None, flags.text, "llm.c's tokenizer file (default: what comes with sparkprep)", "FILE"
    ),
    Flag("max-seq-len", ("-t",), None, flags.integer(2), "most tokens of prompt and text (default: the model's)"),
    Flag("tokens", ("-g",), 256, flags.integer(1), "most tokens to write"),
    Flag("seed", ("-s",), DEFAULT_SEED, flags.integer(1), "of the random draws"),
    Flag("samples", (), 1, flags.integer(1), "so many texts; the i-th, from 0, with seed + i"),
    Flag("temperature", (), 1.0, flags.number(0.0), "below 1 likelier tokens, 0 always the likeliest", "X"),
    Flag("top-k", (), None, flags.integer(1), "draw only among the N likeliest (default: all)"),
    Flag(
        "top-p", (), None, flags.number(0.0, 1.0, above=True), "only the likeliest with this share (default: all)", "P"
    ),
    Flag("ignore-end-of-text", (), False, None, "go on after end-of-text, where a document ends"),
    Flag("greedy-encoding", (), False, None, "encode the prompt as llm.c's course version does, by longest match"),
    Flag("device", (), "auto", flags.one_of("auto", "cpu", "cuda"), "auto, cpu or cuda", "NAME"),
    Flag(
        "precision", (), "auto", flags.one_of("auto", "bf16", "fp32"), "auto, bf16 or fp32; auto: bf16 on a GPU", "NAME"
    ),
    Flag("quiet", (), False, None, "print the text alone"),
    Flag("debug", (), False, None, "print the traceback of an error too"),
    *(Flag(name, (f"-{name}",), None, str, flags.MEANINGLESS, "WORD") for name in _SEVERAL_MACHINES),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments and write text; the exit code is told in EPILOG."""
    parser = flags.Parser(FLAGS, description=DESCRIPTION, epilog=EPILOG)
    return guarded(run, parser.parse_words(sys.argv[1:] if argv is None else argv))


def run(args: argparse.Namespace) -> int:
    """Load, tell what was loaded, and write. Raises UserError before any weight is read, but for damaged weights."""
    from trainer import device as devices
    from trainer.checkpoints import model_file
    from trainer.generate import generate

    ignored = [f"-{name}" for name in _SEVERAL_MACHINES if getattr(args, name) is not None]
    if ignored:
        print(f"note: {', '.join(ignored)} mean nothing here, where one process writes; ignored", file=sys.stderr)
    if args.model is None:
        raise UserError("-e is missing; name a model file with it (model_*.bin)")
    Coins(args.seed + args.samples - 1)  # the last seed must do, too
    header = model_file.read_header(args.model)
    words = _words(args.tokenizer, header, args.model)
    positions = header.shape.max_seq_len
    generate.free_positions(1, positions, args.max_seq_len)
    ids = _prompt_ids(args, args.max_seq_len or positions)
    generate.free_positions(len(ids), positions, args.max_seq_len)
    device = devices.choose_device(args.device)
    dtype = devices.choose_dtype(args.precision, device)
    model = model_file.open_model(args.model, device=device, dtype=dtype)
    if not args.quiet:
        names = devices.device_name(device), devices.precision_name(dtype)
        _say(run_parameters.format_table(_groups(args.model, header, *names)))
        _say(f"Prompt: {generate.text_of(ids, words)}")
        _say(f"Prompt tokens: {' '.join(map(str, ids))}\n")
    for number in range(args.samples):
        _write(args, model, words, ids, number)
    return 0


def _words(path: str | None, header: ModelHeader, model: str) -> tuple[bytes, ...]:
    """The bytes of each id. Raises UserError where the tokenizer file or the model has other tokens than GPT-2."""
    known = (*vocabulary.tokens(), vocabulary.END_OF_TEXT_WORD)
    if header.shape.vocab_size != VOCABULARY_SIZE:
        raise UserError(
            f"{model}: it has {header.shape.vocab_size:,} tokens, not GPT-2's {VOCABULARY_SIZE:,}; "
            "give a model trained on GPT-2's tokens"
        )
    if path is None:
        return known
    found = tokenizer_file.read(path)
    if found.tokens != known or found.end_of_text != END_OF_TEXT:
        raise UserError(f"{path}: its tokens are not GPT-2's; leave out -it, GPT-2's come with sparkprep")
    return found.tokens


def _prompt_ids(args: argparse.Namespace, positions: int) -> list[int]:
    """The prompt's ids; end-of-text alone where there is none."""
    prompt = _prompt(args, prompts.LONGEST_TOKEN * positions)
    encode = prompts.encode_greedy if args.greedy_encoding else prompts.encode
    return encode(prompt) or [END_OF_TEXT]


def _prompt(args: argparse.Namespace, most: int) -> bytes:
    """The prompt's bytes. most: so many cannot fit, however they are encoded; refused unread."""
    if args.prompt_file is None:
        # An argument that was no UTF-8 comes with its bytes as surrogates.
        prompt = (args.prompt or "").encode("utf-8", "surrogateescape")
    elif args.prompt is not None:
        raise UserError("--prompt and --prompt-file were both given; give one")
    else:
        try:
            with open_input(args.prompt_file) as stream:
                prompt = stream.read(most + 1)
        except OSError as error:
            raise UserError(f"{args.prompt_file}: cannot be read: {cause(error)}") from error
    if len(prompt) > most:
        raise UserError(f"the prompt has more than {most:,} bytes, too many for the model's positions; shorten it")
    return prompt


def _groups(path: str, header: ModelHeader, device: str, precision: str) -> list[list[tuple[str, str]]]:
    """What the table at the start tells."""
    from trainer.loop.parameters import model_rows

    return [[("device", device), ("precision", precision)], [("model path", path), *model_rows(header.shape)]]


def _write(args: argparse.Namespace, model: GPT2, words: Sequence[bytes], ids: list[int], number: int) -> None:
    """Write one text, and around it what makes it readable. number: of the sample, from 0."""
    from trainer.generate import generate

    sampler = Sampler(args.seed + number, Choice(args.temperature, args.top_k, args.top_p))
    if args.samples > 1:
        seed = "" if args.quiet else f" sample {number + 1} of {args.samples}, seed {args.seed + number}"
        _say(f"---{seed}")
    stream, count, ended = generate.TextStream(words), 0, False
    start = time.perf_counter()
    for token in generate.generate(
        model,
        ids,
        max_new=args.tokens,
        sampler=sampler,
        stop_at_end_of_text=not args.ignore_end_of_text,
        max_seq_len=args.max_seq_len,
    ):
        count += 1
        ended = token == END_OF_TEXT and not args.ignore_end_of_text
        _say("" if ended else stream.feed(token), end="")
    seconds = time.perf_counter() - start
    _say(stream.end())
    if args.quiet:
        return
    if ended:
        why = "EOT token"
    elif count == args.tokens:
        why = f"{count:,} new tokens (-g)"
    else:
        why = f"all {len(ids) + count:,} positions are taken (-t)"
    _say(f"\n[Generation stopped: {why}]")
    _say(f"{count:,} tokens in {seconds:.2f} s, {count / seconds:,.1f} tokens/s")


def _say(text: str, end: str = "\n") -> None:
    """Print at once what the terminal's encoding can show, the rest as escapes."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), end=end, flush=True)
