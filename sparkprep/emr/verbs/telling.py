"""What the verbs of EMR share: the plan that arguments describe, and how it, requests and the next command are told."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from sparkprep.commands import command
from sparkprep.console import say, say_line
from sparkprep.emr.aws.control import region_of
from sparkprep.emr.cluster.settings import ClusterSettings, WorkSettings
from sparkprep.emr.cost.prices import load
from sparkprep.emr.jobs import RunSettings, names_of
from sparkprep.emr.places import Staged
from sparkprep.emr.plan import EXAMPLE, Plan, make_plan
from sparkprep.errors import UserError, flag
from sparkprep.options import changed, from_arguments

REHEARSAL = "10k"
"""The graded subset that is run first: minutes, and its answer is known."""


def plan_of(args: argparse.Namespace, run: RunSettings | None) -> Plan:
    """Return the plan that the arguments describe. Raises UserError where it cannot be."""
    settings = from_arguments(ClusterSettings, args)
    work, prices, region = from_arguments(WorkSettings, args), load(args.prices), region_of(settings.region)
    jobs = names_of(RunSettings(jobs=args.jobs)) if run is None else None
    return make_plan(settings, work, prices, region, args.prefix, run, jobs=jobs)


def tell_plan(made: Plan) -> None:
    """Print a plan as rows, and its warnings."""
    for name, text in made.rows():
        say_line(f"  {name:<11} {text}")
    for warning in made.warnings:
        say_line(f"warning: {warning}", sys.stderr)


def say_json(what: dict[str, Any]) -> None:
    """Print JSON for a program."""
    say(json.dumps(what, indent=1))


def tell_calls(calls: list[tuple[str, dict[str, Any]]]) -> None:
    """Print what AWS would be asked for."""
    for name, request in calls:
        say(f"{name} {json.dumps(request, indent=1)}")


def tell_next(*words: str) -> None:
    """Print the command that comes next, as one types it."""
    say_line(f"next: {command('emr', *words)}")


def tell_stand_in(prefix: str | None) -> None:
    """Say, where no prefix was named, that the one in the request is none of the user's."""
    if prefix is None:
        say_line(f"  {EXAMPLE} in the request stands for your own prefix")


def tell_first(prefix: str | None, *launch: str) -> None:
    """Print the command behind a plan: the launch, or, where no prefix was named, the staging that comes before it."""
    if prefix is None:
        tell_next("stage", "S3-PREFIX")
    else:
        tell_next("launch", prefix, *launch)


def given(args: argparse.Namespace, settings: type) -> list[str]:
    """Return the flags of a class of settings that differ from their defaults, as words."""
    made = changed(from_arguments(settings, args))
    return [word for name, value in made.items() for word in (flag(name), str(value))]


def all_given(args: argparse.Namespace) -> list[str]:
    """Return the flags of a plan that differ from their defaults, as words."""
    prices = ["--prices", args.prices] if args.prices else []
    return [*given(args, ClusterSettings), *given(args, WorkSettings), *prices]


def refuse_given(args: argparse.Namespace, names: Sequence[str], of: str) -> None:
    """Raise UserError where a flag was given that would be passed over. of: what it belongs to."""
    for name in names:
        if getattr(args, name):
            raise UserError(f"{flag(name)} is of {of}: leave it out")


def region_words(args: argparse.Namespace) -> list[str]:
    """Return the flag of the region, where one was given."""
    return ["--region", args.region] if args.region else []


def rehearsal(staged: Staged) -> list[str]:
    """Return the words of a run that costs little: the graded subset that is staged."""
    return ["--input", staged.sample(REHEARSAL), "--output", staged.run(REHEARSAL)]
