"""One run's surroundings: the session, the settings, the input as opened, and where results and intermediates lie."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from sparkprep.dedup.settings import Settings
from sparkprep.dedup.signatures import schema
from sparkprep.documents.parquet import reading as parquet
from sparkprep.documents.parquet.reading import InputSummary
from sparkprep.io.listing import DataFile
from sparkprep.io.output import OutputFolder
from sparkprep.spark import tables
from sparkprep.spark.progress import Progress


@dataclass
class Run:
    """What every stage is handed."""

    spark: SparkSession
    settings: Settings
    output: OutputFolder
    progress: Progress
    inputs: list[str]
    """what the user named"""
    files: list[DataFile]
    """the Parquet files that hold the documents, perhaps spooled from the input"""
    summary: InputSummary
    rejected: int = 0
    single_file: str | None = None
    warnings: list[str] = field(default_factory=list)

    def work(self, *names: str) -> str:
        """A path among the intermediate tables, which go when the run ends."""
        return os.path.join(self.output.scratch, *names)

    def result(self, *names: str) -> str:
        """A path in the folder that becomes the output."""
        return os.path.join(self.output.work, *names)

    @cached_property
    def documents(self) -> DataFrame:
        """All documents, all columns, with KEY; Spark reads from disk only what a stage goes on to use."""
        return parquet.read(self.spark, self.files, self.summary)

    @property
    def signatures(self) -> DataFrame:
        """The signature rows, once they are written."""
        return tables.read(self.spark, schema(self.documents, self.settings), self.work("signatures"))

    @property
    def cores(self) -> int:
        """Tasks that run at once; 8 where Spark does not say (Spark Connect)."""
        try:
            return int(self.spark.sparkContext.defaultParallelism)
        except (PySparkException, AttributeError):
            return 8
