"""What each verb does with a cluster of EMR on EC2."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sparkprep.commands import command
from sparkprep.console import Exit, if_interrupted, say_line
from sparkprep.emr import jobs
from sparkprep.emr.aws.control import check_bucket_region, client, region_of
from sparkprep.emr.cost.inputs import check_size
from sparkprep.emr.cost.prices import load
from sparkprep.emr.places import MACHINE, PYTHON_VERSION, Staged
from sparkprep.emr.plan import EXAMPLE
from sparkprep.emr.running import clusters, status
from sparkprep.emr.running.brought import Brought
from sparkprep.emr.running.fetch import Download, bring, check_folder, check_parts, downloads, runs_of
from sparkprep.emr.stage.staging import read_staged, stage
from sparkprep.emr.verbs.telling import (
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
from sparkprep.io.files import exists
from sparkprep.options import changed, from_arguments
from sparkprep.units import human_bytes, human_duration


def plan(args: argparse.Namespace) -> int:
    """Tell what fits and what it costs."""
    made = plan_of(args, None)
    if args.json:
        say_json(made.as_dict())
        return Exit.DONE
    tell_calls([("RunJobFlow", made.request)])
    tell_plan(made)
    tell_stand_in(args.prefix)
    tell_first(args.prefix, *all_given(args))
    return Exit.DONE


def put_there(args: argparse.Namespace) -> int:
    """Stage what a cluster needs."""
    prefix = jobs.check_place(args.prefix, "the prefix")
    region = region_of(args.region) if args.region else None
    if region is not None and not args.dry_run:
        check_bucket_region(prefix, region)
    with if_interrupted("nothing can be launched from there until the same command has ended"):
        stage(prefix, wheels_in=args.wheels_in, samples=args.samples, dry_run=args.dry_run)
    if not args.dry_run:
        tell_next("launch", prefix, *region_words(args))
    return Exit.DONE


def launch(args: argparse.Namespace) -> int:
    """Launch a cluster, or say what would be launched."""
    run = from_arguments(jobs.RunSettings, args)
    if args.json:
        refuse_given(args, ("follow",), "a launch that is told line by line, without --json")
    made = plan_of(args, run if changed(run) else None)
    if not args.json:
        tell_plan(made)
    if args.dry_run:
        if args.json:
            say_json({"cluster": None, **made.as_dict()})
        else:
            tell_calls([("RunJobFlow", made.request)])
        return Exit.DONE
    places = [made.staged.prefix, *filter(None, (run.input, run.output))]
    for place in places:
        check_bucket_region(place, made.region)
    check_staged(made.staged)
    jobs.check_inputs(jobs.inputs_of(made.request.get("Steps", [])))
    if run.input is not None and "extract" not in jobs.names_of(run):
        warning = check_size(run.input, made.taken.gigabytes)
        if warning is not None:
            say_line(f"warning: {warning}", sys.stderr)
    emr = client(made.region, once=True)
    with clusters.launched(emr, made.request) as cluster:
        if args.json:
            say_json({"cluster": cluster, **made.as_dict()})
            return Exit.DONE
        say_line(f"{cluster} is launched; it stops itself after {made.stop_after} hours")
        if args.follow:
            return _follow(emr, cluster, status.LINES, args)
        if "Steps" in made.request:
            tell_next("status", cluster, "--follow", *region_words(args))
        else:
            tell_next("submit", cluster, *rehearsal(made.staged), *region_words(args))
    return Exit.DONE


def submit(args: argparse.Namespace) -> int:
    """Give a cluster the jobs of a run as steps."""
    cluster, settings = clusters.check_id(args.cluster), from_arguments(jobs.RunSettings, args)
    refuse_given(args, ("environment", "role"), f"EMR Serverless, and {cluster} is a cluster")
    given_place = Staged(jobs.check_place(args.staged, "--staged")) if args.staged else None
    region = region_of(args.region)
    steps = jobs.steps(settings, given_place or Staged(EXAMPLE))  # refuses what cannot be, before anything is asked
    if args.dry_run:
        tell_calls([("AddJobFlowSteps", {"JobFlowId": cluster, "Steps": steps})])
        return Exit.DONE
    for place in filter(None, (settings.input, settings.output)):
        check_bucket_region(place, region)
    if given_place is not None:
        check_staged(given_place)
    emr = client(region, once=True)
    staged = given_place or clusters.staged_of(emr, cluster)[0]
    new, there = clusters.add_steps(emr, cluster, jobs.steps(settings, staged), jobs.check_inputs)
    with clusters.that_runs(cluster):
        for step in there:
            say_line(f"{step.id} {step.name} is there already, {step.state}: not given again")
        say_line(f"{cluster}: {len(new)} steps given: {', '.join(new) or 'none'}")
        if args.follow:
            return _follow(emr, cluster, status.LINES, args)
        tell_next("status", cluster, "--follow", *region_words(args))
    return Exit.DONE


def show_status(args: argparse.Namespace) -> int:
    """Tell how a cluster is, or which clusters there are."""
    region = region_of(args.region)
    if args.cluster is None:
        return _list(args, region)
    cluster = clusters.check_id(args.cluster)
    if args.dry_run:
        names = ("DescribeCluster", "ListSteps", "ListInstanceGroups", "ListBootstrapActions")
        tell_calls([(name, {"ClusterId": cluster}) for name in names])
        return Exit.DONE
    emr, prices = client(region), load(args.prices)
    if args.follow:
        return _follow(emr, cluster, args.lines, args)
    now = status.look(emr, cluster, prices)
    for line in now.lines():
        say_line(line)
    for step in (step for step in now.steps if step.state in ("RUNNING", "FAILED")):
        for line in _tail(args.lines)(now.cluster, step):
            say_line(f"    {line}")
    _tell_after(now, region_words(args))
    return status.exit_code(now)


def fetch(args: argparse.Namespace) -> int:
    """Bring what a cluster has left into a folder."""
    cluster, parts, region = clusters.check_id(args.cluster), check_parts(args.parts), region_of(args.region)
    folder, output = check_folder(args.folder), jobs.check_uri(args.output, "--output") if args.output else None
    if args.dry_run:
        tell_calls([("DescribeCluster", {"ClusterId": cluster}), ("ListSteps", {"ClusterId": cluster})])
        say_line(f"then the {', '.join(parts)} of its steps would be listed and brought to {folder}")
        return Exit.DONE
    emr = client(region)
    found = clusters.describe(emr, cluster)
    runs, brought = runs_of(clusters.steps_of(emr, cluster), output), Brought(folder)
    wanted, left_out = downloads(found, runs, parts, folder, brought)
    for uri in left_out:
        say_line(f"warning: {uri}: a name that no file can have; left out", sys.stderr)
    missing = [each for each in wanted if not each.is_there(brought)]
    size = sum(each.size for each in missing)
    cost = size / 1e9 * load(args.prices).number("transfer_out", "gb")
    say_line(f"{len(missing)} of {len(wanted)} objects, {human_bytes(size)}; out of AWS they cost ${cost:.2f}")
    if len(runs) > 1:
        say_line(f"  of {len(runs)} runs, a folder each; --output names one: {', '.join(runs)}")
    with if_interrupted("what has been brought is whole, and the same command brings the rest"):
        bring(missing, brought, _tell_download)
    if not wanted:
        say_line(f"{cluster} has left none of {', '.join(parts)} yet: EMR brings logs to S3 every five minutes")
        tell_next("status", cluster, *region_words(args))
    elif "shards" in parts and (shards := [each.path for each in wanted if each.path.endswith(".bin")]):
        place = os.path.dirname(shards[-1])
        say_line(f"next: {shlex.join(['sparkprep', 'shards', '--output', place, '--verify'])}")
    else:
        tell_next("terminate" if found.is_active else "status", cluster, *region_words(args))
    return Exit.DONE


def terminate(args: argparse.Namespace) -> int:
    """End a cluster."""
    cluster, region = clusters.check_id(args.cluster), region_of(args.region)
    if args.dry_run:
        tell_calls([("TerminateJobFlows", {"JobFlowIds": [cluster]})])
        return Exit.DONE
    after = clusters.terminate(client(region), cluster)
    until = ": its nodes are billed until they have gone, a minute or two" if after.state == "TERMINATING" else ""
    say_line(f"{cluster} is {after.state}{until}")
    tell_next("status", cluster, *region_words(args))
    return Exit.DONE


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "plan": plan,
    "stage": put_there,
    "launch": launch,
    "submit": submit,
    "status": show_status,
    "fetch": fetch,
    "terminate": terminate,
}


def check_staged(staged: Staged) -> None:
    """Raise UserError where nothing is staged that nodes can take: they would fail of it when they are paid for."""
    if not exists(staged.manifest):
        raise UserError(
            f"{staged.manifest}: nothing is staged there; `{command('emr', 'stage', staged.prefix)}` does it"
        )
    manifest = read_staged(staged)
    for name, needed in (("python", PYTHON_VERSION), ("machine", MACHINE)):
        if manifest[name] != needed:
            raise UserError(
                f"{staged.manifest}: the wheels are for {manifest[name]}, and nodes have {needed}; stage anew"
            )


def _list(args: argparse.Namespace, region: str) -> int:
    if args.dry_run:
        tell_calls([("ListClusters", {"ClusterStates": list(clusters.ACTIVE)}),
                    ("ListInstanceGroups", {"ClusterId": "<each of these>"})])  # fmt: skip
        return Exit.DONE
    emr, prices = client(region), load(args.prices)
    found = clusters.active(emr)
    for cluster, name, state, created in found:
        since = max(0.0, (datetime.now(UTC) - created).total_seconds()) if created is not None else 0.0
        an_hour, has_spot = status.price_of(emr, cluster, prices)
        each_hour = f" (${an_hour:.2f} an hour)" if an_hour is not None else ""
        cost = status.cost_words(since / 3600, an_hour, has_spot)
        say_line(f"{cluster} {name}: {state}, for {human_duration(since)}{cost}{each_hour}")
    if found:
        tell_next("status", found[0][0], *region_words(args))
    else:
        say_line(f"no cluster is billed in {region}")
    return Exit.DONE


def _follow(emr: Any, cluster: str, lines: int, args: argparse.Namespace) -> int:
    prices = load(args.prices)
    clusters.describe(emr, cluster)  # an id of no cluster runs nothing
    with clusters.that_runs(cluster):
        last = status.follow(lambda: status.look(emr, cluster, prices), say_line, _tail(lines))
    _tell_after(last, region_words(args))
    return status.exit_code(last)


def _tell_after(now: status.Status, region: list[str]) -> None:
    """Say what comes next, by how the cluster is; a failed one is looked at before it is ended."""
    cluster = now.cluster
    if now.is_settled and (now.steps or now.has_failed):
        tell_next("fetch", cluster.id, cluster.id, *region)
        if cluster.is_active:
            say_line(f"{cluster.id} runs and is billed; `{command('emr', 'terminate', cluster.id)}` ends it")
    elif cluster.is_active and now.steps:
        tell_next("status", cluster.id, "--follow", *region)
    elif cluster.is_active and now.staged is not None:
        tell_next("submit", cluster.id, *rehearsal(now.staged), *region)


def _tail(lines: int) -> Callable[[clusters.Cluster, clusters.Step], list[str]]:
    def tail(cluster: clusters.Cluster, step: clusters.Step) -> list[str]:
        try:
            return status.log_tail(cluster, step, lines) if lines else []
        except UserError as error:  # the log is an extra: who may not read it is still told how the cluster is
            return [f"(its log cannot be read: {error})"]

    return tail


def _tell_download(each: Download) -> None:
    say_line(f"  {each.path}")
