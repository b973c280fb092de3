"""The price of an hour and of a run, by a dated table and measured seconds."""

import json
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from checkout import ROOT

from sparkprep.emr.cluster.settings import ClusterSettings, WorkSettings
from sparkprep.emr.cost import formula
from sparkprep.emr.cost.prices import load
from sparkprep.emr.plan import Plan, make_plan
from sparkprep.emr.serverless import requests
from sparkprep.errors import UserError

TODAY = date(2026, 11, 28)


def planned(prices: str | None = None, region: str = "us-east-1", today: date = TODAY, **settings: Any) -> Plan:
    work = {name: settings.pop(name) for name in ("documents", "text_gb") if name in settings}
    return make_plan(ClusterSettings(**settings), WorkSettings(**work), load(prices), region, None, today=today)


def refusal(**settings: Any) -> str:
    with pytest.raises(UserError) as caught:
        planned(**settings)
    return str(caught.value)


def test_an_hour_of_the_courses_cluster_is_the_sum_of_its_parts() -> None:
    hour = planned().an_hour
    assert hour.ec2 == pytest.approx(8 * 0.252)
    assert hour.emr == pytest.approx(8 * 0.063)
    assert hour.disks == pytest.approx((8 * 100 + 7 * 200 + 64) * 0.08 / 730)
    assert hour.addresses == pytest.approx(8 * 0.005)
    assert hour.total == pytest.approx(2.81, abs=0.01)


def test_on_the_spot_market_ec2s_part_of_the_core_nodes_is_lower_and_the_bound_stays() -> None:
    bought, on_demand = planned(market="SPOT", core_nodes=3), planned(core_nodes=3)
    least, usual = load().spot_shares()
    hour, core = on_demand.an_hour.total, 3 * 0.252
    assert bought.an_hour.as_bought == pytest.approx((hour - core * (1 - least), hour - core * (1 - usual), hour))
    assert bought.taken.dollars.expected == pytest.approx(bought.taken.hours.expected * (hour - core * (1 - usual)))
    assert bought.taken.dollars.high == on_demand.taken.dollars.high
    assert (bought.at_most, bought.stop_after) == (on_demand.at_most, on_demand.stop_after)
    assert dict(bought.rows())["on spot"].startswith(f"${bought.an_hour.as_bought.expected:.2f} (")
    assert bought.as_dict()["cost"]["an_hour_as_bought"]["low"] < bought.as_dict()["cost"]["an_hour"]
    assert "on spot" not in dict(on_demand.rows())
    documented = (ROOT / "docs" / "emr.md").read_text()
    assert f"\n{dict(planned(market='SPOT').rows())['on spot'].split(':')[0]}." in documented


@pytest.mark.parametrize(
    "settings",
    [
        {"documents": 5 * 10**8},
        {"text_gb": 4000.0},
        {"text_gb": 900.0, "core_gb": 50},
        {"documents": 10**8, "max_hours": 1},
        {"documents": 10**8, "max_dollars": 3.0},
    ],
)
def test_what_a_refusal_tells_to_give_is_enough(settings: dict[str, Any]) -> None:
    given = re.findall(r"--([a-z-]+) (\d+)", "".join(re.findall(r"give ((?:--[a-z-]+ \d+ ?)+)", refusal(**settings))))
    assert given
    planned(**{**settings, **{name.replace("-", "_"): int(value) for name, value in given}})


def test_a_table_of_ones_own_need_not_know_of_spot_until_it_is_asked(tmp_path: Path) -> None:
    table = json.loads((ROOT / "sparkprep" / "emr" / "cost" / "prices.json").read_text())
    spot = table.pop("spot")
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(table))
    assert planned(str(path)).an_hour.total == planned().an_hour.total
    with pytest.raises(UserError, match=r"no prices of spot; take .* or --market ON_DEMAND"):
        planned(str(path), market="SPOT")
    path.write_text(json.dumps({**table, "spot": {**spot, "usual_share": 1.5}}))
    with pytest.raises(UserError, match=r"spot.usual_share lies between spot.least_share and 1"):
        planned(str(path))


def test_a_run_is_estimated_by_the_formula_that_is_documented() -> None:
    taken = planned(text_gb=10).taken
    seconds = 10 * (27.4 + 24.7) * 1.85 * 1.2 * 1.5
    assert taken.core_seconds.expected == pytest.approx(seconds)
    assert taken.work.expected == pytest.approx(3 * 60 / 3600 + seconds / (28 * 0.5) / 3600)
    assert taken.hours.expected == pytest.approx(0.17 + taken.work.expected + 10 / 60)
    assert taken.dollars.expected == pytest.approx(taken.hours.expected * planned().an_hour.total)
    for factor in (taken.core_seconds, taken.work, taken.hours, taken.dollars):
        assert factor.low < factor.expected < factor.high


def test_the_jobs_that_a_run_has_are_those_that_are_reckoned() -> None:
    def seconds(*jobs: str) -> float:
        return formula.core_seconds(WorkSettings(text_gb=1), jobs).expected

    assert seconds("dedup", "tokens", "shards") == pytest.approx(seconds("dedup") + seconds("tokens"))
    assert seconds("extract") == pytest.approx(390 * 1.85 * 1.2)
    assert seconds("extract", "dedup") == pytest.approx(seconds("extract") + seconds("dedup"))
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    assert "57.5" in text
    assert formula.EXTRACT_SECONDS.expected == pytest.approx(57.5 / (20_000 * 7.4e-6), rel=0.01)


def test_the_estimate_of_the_documents_is_the_one_that_the_code_makes() -> None:
    rows = dict(planned().rows())
    assert rows["it costs"].split(";")[0] in (ROOT / "README.md").read_text()
    for page in ("emr.md", "benchmarks.md"):
        text = (ROOT / "docs" / page).read_text()
        for told in (rows["all takes"].split(",")[0], rows["it costs"].split(";")[0], rows["at most"].split(":")[0]):
            assert told in text, f"docs/{page} lacks {told}"


def test_the_price_of_serverless_that_is_documented_is_the_one_that_the_code_makes() -> None:
    plan = planned()
    workers = requests.workers_of(plan.settings, plan.placed)
    dollars = requests.dollars(workers, plan.work, plan.placed, load())
    text = (ROOT / "docs" / "emr.md").read_text()
    assert f"${requests.hourly(workers, load()):.2f} an hour for the same executors" in text
    assert f"${dollars.expected:.2f} (${dollars.low:.2f} to ${dollars.high:.2f}) for the 5,000,000" in text


def test_the_measured_seconds_are_those_of_the_benchmarks() -> None:
    """Each end of a factor is a figure of that page for 1.36 GB, or for 87 MB and 10,000 documents."""
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    for factor, (low, high) in (
        (formula.DEDUP_SECONDS, (32.8, 39.7)),
        (formula.TOKENS_AND_SHARDS_SECONDS, (29.1, 39.7)),
    ):
        assert (factor.low, factor.high) == pytest.approx((low / 1.36, high / 1.36), abs=0.05)
        assert all(f"| {figure} |" in text for figure in (low, high))
    assert (formula.DOCUMENT_KB.low, formula.DOCUMENT_KB.high) == pytest.approx((1.36e6 / 320_000, 87e3 / 10_000))
    assert "| 37.2 |" in text
    assert formula.DEDUP_SECONDS.expected == pytest.approx(37.25 / 1.36, abs=0.05)
    assert f"| {formula.THROUGH_S3.low} |" in text


def test_the_hard_stop_is_what_the_money_buys_and_twelve_hours_at_most() -> None:
    assert planned().stop_after == 8
    assert planned().at_most == pytest.approx(8.33 * 2.808, abs=0.01)
    assert planned(core_nodes=1, documents=1000).stop_after == 12
    assert planned(max_hours=3).stop_after == 3


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"max_dollars": 2.0},
            "--max-dollars 2: an hour of this cluster costs $2.81, with its start up to $3.73; give --max-dollars 4",
        ),
        ({"max_hours": 12}, "--max-hours 12 cost up to $34.62, more than --max-dollars 25; give --max-hours 8"),
        ({"documents": 500_000_000}, "with these, the run takes 8.4 hours ($36.28)"),
        ({"instance_type": "r5.xlrge"}, "did you mean r5.xlarge?"),
        ({"instance_type": "r6g.xlarge"}, "x86 alone"),
    ],
)
def test_what_costs_more_than_it_may_is_refused_with_a_way_out(settings: dict[str, Any], words: str) -> None:
    assert words in refusal(**settings)


def test_the_way_out_of_a_run_that_is_too_long_is_one() -> None:
    words = refusal(documents=500_000_000, core_gb=1024).split("give ")[1].split(",")[0].split()
    assert planned(documents=500_000_000, core_gb=1024, max_dollars=float(words[1]), max_hours=int(words[3]))


def test_idle_minutes_are_paid_for_until_the_hard_stop_and_do_not_count_as_work() -> None:
    made = planned(core_nodes=1, documents=10_000, max_hours=1, idle_minutes=120)
    assert made.stop_after == 1
    assert made.taken.hours.high == pytest.approx(1.33)
    assert made.taken.dollars.high == pytest.approx(made.at_most)
    assert made.warnings == ()


def test_a_run_that_no_hard_stop_is_long_enough_for_is_told_to_take_more_nodes() -> None:
    said = refusal(text_gb=3000, core_gb=1000, executors=1, executor_cores=1)
    assert "more or larger nodes" in said
    assert "--max-hours" not in said


def test_a_run_whose_shuffles_have_no_room_is_refused_and_one_that_may_have_none_is_warned_of() -> None:
    said = refusal(text_gb=305, core_gb=20, max_dollars=100)
    assert "305 GB of text make 488 to 549 GB of shuffle files, and the core nodes' 7 x 20 GB have room for 119" in said
    enough = int(said.split("--core-gb ")[1])
    assert not any("shuffle" in each for each in planned(text_gb=305, core_gb=enough, max_dollars=100).warnings)
    tight = planned(text_gb=305, core_gb=85, max_dollars=100)
    assert any(f"give --core-gb {enough}" in each for each in tight.warnings)


def test_disks_that_are_too_small_at_their_largest_take_more_nodes() -> None:
    way = refusal(text_gb=2000, core_nodes=2, max_dollars=10_000.0, max_hours=168).split("give ")[1].split()
    assert way == ["--core-gb", "848", "--core-nodes", "5"]
    assert planned(text_gb=2000, core_nodes=5, core_gb=848, max_dollars=10_000.0, max_hours=168)


def test_the_disks_of_serverless_are_reckoned_too() -> None:
    plan = planned(text_gb=305, max_dollars=100)
    with pytest.raises(UserError, match="the workers' 7 x 20 GB have room for 119; take a cluster"):
        requests.disk_warnings(plan.work, requests.workers_of(plan.settings, plan.placed))


def test_old_prices_and_those_of_another_region_are_told() -> None:
    late = load().oldest() + timedelta(days=91)
    assert any("the prices are of 2026-11-22, more than 90 days old" in each for each in planned(today=late).warnings)
    assert planned(today=late - timedelta(days=1), release="emr-7.14.0").warnings == ()
    assert any("those of us-east-1, not of eu-west-1" in each for each in planned(region="eu-west-1").warnings)


def table(tmp_path: Path, change: dict[str, Any] | None, of: tuple[str, ...]) -> str:
    content = json.loads((ROOT / "sparkprep" / "emr" / "cost" / "prices.json").read_text())
    place = content
    for name in of[:-1]:
        place = place[name]
    if change is None:
        del place[of[-1]]
    else:
        place[of[-1]] |= change
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(content))
    return str(path)


def test_a_table_of_ones_own_takes_the_place_of_the_packages(tmp_path: Path) -> None:
    path = table(tmp_path, {"ec2_hour": 1.0}, ("instances", "r5.xlarge"))
    assert planned(path, max_hours=1, documents=1000).an_hour.ec2 == 8.0


@pytest.mark.parametrize(
    ("of", "change", "words"),
    [
        (("serverless",), None, "no prices of serverless"),
        (("instances", "r5.xlarge"), {"ec2_hour": float("nan")}, "instances.r5.xlarge.ec2_hour is nan, no price"),
        (("address",), {"hour": float("inf")}, "address.hour is inf, no price"),
        (("instances", "r5.xlarge"), {"yarn_mb": 40_000}, "yarn_mb is 40000, more than the machine's memory_gb of 32"),
        (("instances", "r5.xlarge"), {"vcpus": 0}, "instances.r5.xlarge.vcpus is 0: a machine has some"),
        (("volumes", "gp3"), {"gb_month": "cheap"}, "volumes.gp3.gb_month is 'cheap', no price"),
        (("address",), {"date": "yesterday"}, "address.date is 'yesterday'; write it like 2026-11-22"),
        (("address",), {"source": None}, "address has no source"),
    ],
)
def test_a_table_that_is_none_is_refused(
    tmp_path: Path, of: tuple[str, ...], change: dict[str, Any] | None, words: str
) -> None:
    with pytest.raises(UserError, match=words.replace("?", r"\?")):
        load(table(tmp_path, change, of))


def test_a_disk_that_the_table_lacks_is_not_called_a_machine(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gp3: not among the volumes in the table of prices") as caught:
        planned(table(tmp_path, None, ("volumes", "gp3")))
    assert "x86" not in str(caught.value)


def test_a_table_in_another_currency_is_refused_and_one_of_a_day_to_come_is_doubted(tmp_path: Path) -> None:
    path = table(tmp_path, {"date": "2027-03-01"}, ("address",))
    assert any("has prices of 2027-03-01, a day that has not come" in each for each in planned(path).warnings)
    Path(path).write_text(Path(path).read_text().replace('"USD"', '"EUR"'))
    with pytest.raises(UserError, match="currency is 'EUR'; give prices in USD"):
        load(path)


@pytest.mark.parametrize(
    ("name", "architecture", "is_arm"),
    [
        *[(name, {}, True) for name in ("r6g.xlarge", "m7gd.2xlarge", "c6gn.xlarge", "a1.xlarge", "im4gn.xlarge")],
        *[(name, {}, False) for name in ("r6i.xlarge", "g5.xlarge", "r6id.xlarge", "i4i.xlarge")],
        ("x9.xlarge", {"architecture": "arm64"}, True),
        ("x9.xlarge", {"architecture": "x86_64"}, False),
    ],
)
def test_an_arm_machine_is_refused_whatever_the_table_says(
    name: str, architecture: dict[str, str], is_arm: bool, tmp_path: Path
) -> None:
    path = table(tmp_path, {}, ("instances", "r5.xlarge"))
    content = json.loads(Path(path).read_text())
    content["instances"][name] = content["instances"]["r5.xlarge"] | architecture
    Path(path).write_text(json.dumps(content))
    if is_arm:
        with pytest.raises(UserError, match=f"{name}: an ARM machine, and the wheels are of x86_64"):
            planned(path, instance_type=name)
    else:
        assert planned(path, instance_type=name, primary_type="r5.xlarge").settings.instance_type == name
