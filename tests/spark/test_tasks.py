"""Numbered tasks: what they yield comes back in order, each value reaches its reducer, and their errors are told."""

from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from sparkprep.errors import UserError
from sparkprep.spark.failures import SPARK_ERRORS, cause_of_failure, explained
from sparkprep.spark.tasks import run, run_tasks, shuffle


def test_tasks_yield_in_the_order_of_their_numbers(spark: SparkSession) -> None:
    numbers = [5, 1, 4, 0, 4]
    assert run(spark, numbers, lambda number: [number] * number) == [5] * 5 + [1] + [4] * 8
    assert run(spark, [], lambda number: [number]) == []
    assert run(spark, [3], lambda _: []) == []


def test_every_value_reaches_its_reducer_and_reducers_answer_in_order(spark: SparkSession) -> None:
    def task(number: int) -> Iterator[tuple[int, bytes]]:
        for reducer in range(0, 6, number):
            yield reducer, bytes([number]) * 1000

    def finish(reducer: int, values: Iterator[bytes]) -> list[tuple[int, list[int]]]:
        return [(reducer, sorted(value[0] for value in values))]

    expected = [(0, [1, 2, 3]), (1, [1]), (2, [1, 2]), (3, [1, 3]), (4, [1, 2]), (5, [1]), (6, [])]
    assert shuffle(spark, [1, 2, 3], task, 7, finish) == expected
    assert shuffle(spark, [], task, 7, finish) == []


def test_a_frame_of_tasks_has_a_partition_for_each(spark: SparkSession) -> None:
    def task(number: int) -> Iterator[pa.RecordBatch]:
        for _ in range(2):
            yield pa.RecordBatch.from_pydict({"n": [number] * number})

    frame = run_tasks(spark, [3, 0, 2], task, "n long")
    assert [[row["n"] for row in part] for part in frame.rdd.glom().collect()] == [[3] * 6, [], [2] * 4]
    none = run_tasks(spark, [], task, "n long")
    assert (none.columns, none.collect()) == (["n"], [])


def tasks_that_fail() -> tuple[Callable[[int], Iterator[tuple[int, int]]], ...]:
    """(one that refuses number 2, one that fails); made here, since workers know no module of tests."""

    def refusing(number: int) -> Iterator[tuple[int, int]]:
        yield 0, number
        if number == 2:
            raise UserError("in.parquet: row 3 is an orange; peel it")

    def failing(number: int) -> Iterator[tuple[int, int]]:
        yield number, {}["missing"]

    return refusing, failing


def test_a_users_mistake_in_any_task_reaches_the_driver_as_one(spark: SparkSession) -> None:
    refusing, _ = tasks_that_fail()

    def finish(reducer: int, values: Iterator[int]) -> Iterator[int]:
        raise UserError(f"in.parquet: {sorted(values)} are too many; take some away")

    def batches(number: int) -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pydict({"n": [n for _, n in refusing(number)]})

    for job in (
        lambda: run(spark, [1, 2, 3], refusing),
        lambda: shuffle(spark, [1, 2, 3], refusing, 2, lambda _, values: values),
        lambda: run_tasks(spark, [1, 2, 3], batches, "n long").collect(),
    ):
        with pytest.raises(UserError, match=r"^in\.parquet: row 3 is an orange; peel it$"), explained():
            job()
    with pytest.raises(UserError, match=r"^in\.parquet: \[1\] are too many; take some away$"), explained():
        shuffle(spark, [1], refusing, 1, finish)


def test_any_other_error_in_a_task_is_told_by_its_cause(spark: SparkSession) -> None:
    _, failing = tasks_that_fail()
    for job in (lambda: run(spark, [1], failing), lambda: shuffle(spark, [1], failing, 1, lambda _, values: values)):
        with pytest.raises(SPARK_ERRORS) as caught, explained():
            job()
        assert cause_of_failure(caught.value).startswith("KeyError: 'missing' (")
