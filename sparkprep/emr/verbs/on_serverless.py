"""What each verb does with an application of EMR Serverless."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from sparkprep.console import Exit, say_line
from sparkprep.emr import jobs
from sparkprep.emr.aws.control import check_bucket_region, client, region_of
from sparkprep.emr.aws.model import SERVERLESS
from sparkprep.emr.cluster.settings import ClusterSettings, WorkSettings
from sparkprep.emr.cost.prices import Prices, load
from sparkprep.emr.places import Staged
from sparkprep.emr.plan import Plan, make_plan
from sparkprep.emr.serverless import applications, requests
from sparkprep.emr.verbs.on_cluster import check_staged, put_there
from sparkprep.emr.verbs.telling import (
    REHEARSAL,
    all_given,
    plan_of,
    refuse_given,
    region_words,
    rehearsal,
    say_json,
    tell_calls,
    tell_first,
    tell_next,
    tell_plan,
    tell_stand_in,
)
from sparkprep.errors import UserError
from sparkprep.io.paths import lies_in
from sparkprep.options import changed, from_arguments

_CLUSTERS = "clusters; `status` tells how an application is"
_EXAMPLE_APPLICATION, _EXAMPLE_ROLE = "00example0000000", "arn:aws:iam::123456789012:role/ROLE"


def is_meant(name: str | None) -> bool:
    """Return whether an id is that of an application, and not of a cluster."""
    return name is not None and requests.APPLICATION.fullmatch(name) is not None


def plan(args: argparse.Namespace) -> int:
    """Tell what the same run costs on EMR Serverless, beside the cluster."""
    _refuse_market(args)
    made, prices = plan_of(args, None), load(args.prices)
    workers = requests.workers_of(made.settings, made.placed)
    application = requests.create_application(made.settings, workers)
    words = ["--input", made.staged.sample(REHEARSAL), "--output", f"{made.staged.run(REHEARSAL)}/clean"]
    archive = f"{made.staged.prefix}/environment.tar.gz"
    job = requests.start_job_run(_EXAMPLE_APPLICATION, "dedup", words, made.staged, archive, _EXAMPLE_ROLE, workers,
                                   made.settings, made.stop_after)  # fmt: skip
    if args.json:
        cost = requests.dollars(workers, made.work, made.placed, prices, made.jobs)
        an_hour = requests.hourly(workers, prices)
        told = {"an_hour": an_hour, "dollars": cost._asdict(), "application": application, "job": job}
        say_json({"cluster": made.as_dict(), "serverless": told})
        return Exit.DONE
    tell_calls([("CreateApplication", application), ("StartJobRun", job)])
    tell_plan(made)
    _tell_price(workers, made, prices)
    tell_stand_in(args.prefix)
    tell_first(args.prefix, "--serverless", *all_given(args))
    return Exit.DONE


def launch(args: argparse.Namespace) -> int:
    """Make an application, which costs nothing until it is given a job."""
    if changed(from_arguments(jobs.RunSettings, args)):
        raise UserError("--input, --output and the jobs' flags are given to `submit`: an application is made empty")
    refuse_given(args, ("follow",), _CLUSTERS)
    _refuse_market(args)
    made = plan_of(args, None)
    workers = requests.workers_of(made.settings, made.placed)
    request, prices = requests.create_application(made.settings, workers), load(args.prices)
    told = {"region": made.region, "request": request, "an_hour": requests.hourly(workers, prices)}
    if not args.json:
        _tell_price(workers, made, prices)
    if args.dry_run:
        if args.json:
            say_json({"application": None, **told})
        else:
            tell_calls([("CreateApplication", request)])
        return Exit.DONE
    check_bucket_region(made.staged.prefix, made.region)
    check_staged(made.staged)
    application = applications.create(client(made.region, SERVERLESS), request)
    if args.json:
        say_json({"application": application, **told})
        return Exit.DONE
    say_line(f"{application} is there; it costs nothing while no job runs")
    tell_next("submit", application, "--staged", made.staged.prefix, "--environment",
              f"{made.staged.prefix}/environment.tar.gz", "--role", _EXAMPLE_ROLE, *rehearsal(made.staged),
              *region_words(args))  # fmt: skip
    return Exit.DONE


def submit(args: argparse.Namespace) -> int:
    """Start the jobs of a run, each when the one before has ended: Serverless itself would run all at once."""
    settings, region = from_arguments(jobs.RunSettings, args), region_of(args.region)
    refuse_given(args, ("follow",), _CLUSTERS)
    for name in ("staged", "environment", "role"):
        if getattr(args, name) is None:
            raise UserError(f"--{name} is missing: EMR Serverless needs it")
    staged = Staged(jobs.check_place(args.staged, "--staged"))
    commands = jobs.commands(settings, staged)
    made = make_plan(ClusterSettings(), WorkSettings(), load(args.prices), region, staged.prefix)
    workers = requests.workers_of(made.settings, made.placed)
    asked_for = {
        name: requests.start_job_run(args.cluster, name, words, staged, args.environment, args.role, workers,
                                       made.settings, made.stop_after)
        for name, words in commands.items()
    }  # fmt: skip
    if args.dry_run:
        tell_calls([("StartJobRun", request) for request in asked_for.values()])
        return Exit.DONE
    for place in filter(None, (settings.input, settings.output, args.environment)):
        check_bucket_region(place, region)
    check_staged(staged)
    asked = client(region, SERVERLESS)
    known = applications.runs_that_count(asked, args.cluster)
    soon = [jobs.output_of(_submitted(run.words)) for run in known if run.goes_on]
    needed = jobs.inputs_of([_step(words) for words in commands.values()])
    jobs.check_inputs(needed, [place for place in soon if place is not None])
    for name, words in commands.items():
        _start(asked, args.cluster, name, words, asked_for[name], made.stop_after)
    tell_next("status", args.cluster, *region_words(args))
    return Exit.DONE


def _start(
    asked: Any, application: str, name: str, words: Sequence[str], request: applications.Json, stop_after: int
) -> None:
    """Start a job when what writes its input has ended, if it does not run and has not.

    Raises UserError where another run with other words writes, or has written, where it would write.
    """
    target, source = jobs.output_of(_submitted(words)), jobs.input_of(_submitted(words))
    known = applications.runs_that_count(asked, application)
    for run in known:
        if run.words == tuple(words):
            say_line(f"{application}: {run.id} ({name}) is there already, {run.state}: not started again")
            return
        if jobs.output_of(_submitted(run.words)) == target:
            raise UserError(
                f"{target}: {run.id} of {application} writes there with other words ({run.state}); take another "
                "--output"
            )
    for run in known:
        written = jobs.output_of(_submitted(run.words))
        if run.goes_on and written is not None and source is not None and lies_in(source, written):
            say_line(f"{application}: {run.id} still writes {source}: its end is waited for; Ctrl-C ends the wait, not "
                     "the job, and the same command goes on from there")  # fmt: skip
            applications.wait_for(asked, application, run.id)
    runs = applications.job_runs(asked, application)
    over = sorted(each["id"] for each in runs if each["state"] not in applications.GOING)  # after these it runs anew
    run_id = applications.start(asked, request, requests.token_of(request, over))
    say_line(f"{application}: {run_id} ({name}) is started; it is stopped after {stop_after} hours")


def _submitted(words: Sequence[str]) -> list[str]:
    return ["spark-submit", *words]


def _step(words: Sequence[str]) -> applications.Json:
    return {"HadoopJarStep": {"Args": _submitted(words)}}


def show_status(args: argparse.Namespace) -> int:
    """Tell how an application and its jobs are."""
    refuse_given(args, ("follow",), _CLUSTERS)
    application, region = requests.check_application(args.cluster), region_of(args.region)
    if args.dry_run:
        tell_calls([(name, {"applicationId": application}) for name in ("GetApplication", "ListJobRuns")])
        return Exit.DONE
    asked = client(region, SERVERLESS)
    say_line(f"{application}: {applications.state_of(asked, application)}")
    runs = applications.job_runs(asked, application)
    for each in runs:
        say_line(f"  {each['id']} {each.get('name', '')}: {each['state']} {each.get('stateDetails', '')}".rstrip())
    goes_on = any(each["state"] in applications.GOING for each in runs)
    tell_next("status" if goes_on else "terminate", application, *region_words(args))
    return Exit.CHECK_FAILED if any(each["state"] in applications.FAILED for each in runs) else Exit.DONE


def terminate(args: argparse.Namespace) -> int:
    """Cancel the jobs of an application and stop it."""
    application, region = requests.check_application(args.cluster), region_of(args.region)
    if args.dry_run:
        tell_calls([("StopApplication", {"applicationId": application})])
        return Exit.DONE
    cancelled = applications.end(client(region, SERVERLESS), application)
    if cancelled:
        say_line(f"{application}: {', '.join(cancelled)} cancelled; idle it stops by itself, and costs nothing")
    else:
        say_line(f"{application} is stopped and costs nothing; `aws emr-serverless delete-application` removes it")
    tell_next("status", application, *region_words(args))
    return Exit.DONE


def no_fetch(args: argparse.Namespace) -> int:
    """Raise UserError: there are no steps that tell where a run lies."""
    raise UserError(
        f"{args.cluster}: of EMR Serverless take `aws s3 cp --recursive` of the run's --output, and of logs/"
    )


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "plan": plan,
    "stage": put_there,
    "launch": launch,
    "submit": submit,
    "status": show_status,
    "fetch": no_fetch,
    "terminate": terminate,
}


def _refuse_market(args: argparse.Namespace) -> None:
    if args.market != ClusterSettings().market:
        raise UserError(f"--market {args.market} is of clusters, whose nodes are bought: leave it out")


def _tell_price(workers: requests.Workers, made: Plan, prices: Prices) -> None:
    an_hour = requests.hourly(workers, prices)
    cost = requests.dollars(workers, made.work, made.placed, prices, made.jobs)
    say_line(f"  serverless  ${an_hour:.2f} an hour while jobs run: {workers.all_vcpus} vCPUs, {workers.all_gb} GB; "
             f"${cost.expected:.2f} (${cost.low:.2f} to ${cost.high:.2f})")  # fmt: skip
    for warning in requests.disk_warnings(made.work, workers):
        say_line(f"warning: {warning}", sys.stderr)
    if cost.high > made.settings.max_dollars:
        say_line(f"warning: the run may cost up to ${cost.high:.2f} on EMR Serverless, more than --max-dollars "
                 f"{made.settings.max_dollars:g}", sys.stderr)  # fmt: skip
