"""Tokens and shards as a library gives them: documents or an earlier result in, a result out that shows itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TextIO, Unpack

from pyspark.sql import DataFrame, SparkSession

from sparkprep.arguments import check_arguments
from sparkprep.console import Shown
from sparkprep.documents.opening import Given, place_of_output, source_of
from sparkprep.errors import UserError
from sparkprep.io.paths import is_local, join_path, normalise, spark_uri
from sparkprep.io.results import HasOutput, place_of
from sparkprep.options import from_keywords
from sparkprep.pages.drawing import Figures, lengths
from sparkprep.spark.displays import display_for
from sparkprep.spark.forecast import SHARDS
from sparkprep.spark.progress import Progress
from sparkprep.spark.session import get_session
from sparkprep.spark.tables import read_parts
from sparkprep.tokens.manifest import verify
from sparkprep.tokens.pipeline import make_tokens
from sparkprep.tokens.settings import (
    ShardKeywords,
    ShardSettings,
    TokenizeKeywords,
    TokenizeSettings,
    TokenRowsSettings,
)
from sparkprep.tokens.shards import make_shards


@dataclass(repr=False)
class TokensResult(Shown):
    """What `tokenize` returns."""

    metrics: dict[str, Any]
    """what _metrics.json holds"""
    output: str
    """the folder of the token rows"""
    spark: SparkSession = field(repr=False)

    @cached_property
    def rows(self) -> DataFrame:
        """id, tokens (uint16, little-endian, as binary) and count of each document."""
        if is_local(self.output):
            return self.spark.read.parquet(spark_uri(self.output))
        return read_parts(self.spark, self.output, self.metrics["parts"])

    def plots(self) -> Figures:
        """Return a figure for a notebook: documents by their tokens."""
        drawn = lengths(self.metrics.get("lengths", ()), "tokens", "documents")
        return Figures({"lengths": drawn} if drawn else {})

    def shown(self) -> list[tuple[str, str]]:
        """Return what is shown of it."""
        figures = self.metrics
        each = figures["text_bytes"] / max(1, figures["tokens"])
        return [
            ("documents", f"{figures['documents']:,}, {figures['empty']:,} of them without tokens"),
            ("tokens", f"{figures['tokens']:,}, of {each:.2f} bytes each"),
            ("engine", f"{figures['engine']}, GPT-2's vocabulary"),
            ("output", f"{self.output} (.rows)"),
        ]


@dataclass(repr=False)
class ShardsResult(Shown):
    """What `write_shards` returns."""

    manifest: dict[str, Any]
    """what manifest.json holds"""
    output: str
    """the folder of the shards"""

    @property
    def files(self) -> list[str]:
        """The shards' paths: first the one to validate on, then those to train on."""
        return [join_path(self.output, shard["file"]) for shard in self.manifest["shards"]]

    def verify(self) -> None:
        """Check each shard against the manifest. Raises UserError that names those that are not what it tells."""
        verify(self.output)

    def shown(self) -> list[tuple[str, str]]:
        """Return what is shown of it."""
        shards = self.manifest["shards"]
        val = sum(shard["tokens"] for shard in shards if shard["split"] == "val")
        return [
            ("documents", f"{self.manifest['documents']:,}"),
            ("tokens", f"{self.manifest['tokens']:,}, {val:,} of them to validate on"),
            ("shards", f"{len(shards)}: {shards[0]['file']} to {shards[-1]['file']} (.files)"),
            ("output", self.output),
        ]


def tokenize(
    source: Given | HasOutput,
    settings: TokenizeSettings | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    reuse: bool = False,
    spark: SparkSession | None = None,
    progress: bool | None = None,
    stream: TextIO | None = None,
    work: str | os.PathLike[str] | None = None,
    resume: bool = False,
    **fields: Unpack[TokenizeKeywords],
) -> TokensResult:
    """Turn documents into GPT-2's tokens.

    source: what `deduplicate` has returned, whose kept documents are taken; or documents as `deduplicate` takes them,
    such as `result.kept`. settings: a `TokenizeSettings`; its fields may be given as keywords too, which win. output:
    the folder to write; by default a temporary one that is deleted when Python exits. reuse: an output that was made
    from the same files with the same settings is left as it is. progress, stream, work, resume: as for `deduplicate`.
    Raises UserError where the input, a setting or the output cannot work.

    >>> tokens = tokenize(deduplicate(documents))                # doctest: +SKIP
    """
    keywords = ("output", "overwrite", "reuse", "spark", "progress", "stream", "work", "resume")
    settings = from_keywords(TokenizeSettings, settings, fields, keywords)
    check_arguments(
        output=output,
        overwrite=overwrite,
        reuse=reuse,
        spark=spark,
        progress=progress,
        stream=stream,
        work=work,
        resume=resume,
    )
    documents = source_of(place_of(source))
    if spark is None:
        spark = documents.sparkSession if isinstance(documents, DataFrame) else get_session("sparkprep tokenize")
    display, folder = stream or display_for(progress), normalise(place_of_output(output, resume))
    place = None if work is None else os.fspath(work)
    metrics = make_tokens(
        spark,
        documents,
        folder,
        settings,
        overwrite=overwrite,
        reuse=reuse,
        stream=display,
        work=place,
        resume=resume,
    )
    if stream is None:
        Progress(spark, display).warn(metrics["warnings"])
    return TokensResult(metrics, folder, spark)


def write_shards(
    tokens: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | TokensResult,
    settings: ShardSettings | None = None,
    *,
    output: str | os.PathLike[str],
    tokens_column: str = TokenRowsSettings.tokens_column,
    id_column: str | None = None,
    overwrite: bool = False,
    spark: SparkSession | None = None,
    progress: bool | None = None,
    stream: TextIO | None = None,
    **fields: Unpack[ShardKeywords],
) -> ShardsResult:
    """Write token rows as llm.c's shards: NAME_val_000000.bin, NAME_train_000001.bin, ... and manifest.json.

    tokens: what `tokenize` has returned, or the path(s) of token rows, ours or another program's. settings: a
    `ShardSettings`; its fields may be given as keywords too, which win. output: the folder to write, local or s3://; of
    shards that are there already, made from the same rows, only what is missing or wrong is made. tokens_column,
    id_column: of the token rows, by default `tokens` and, where there is one, `id`. overwrite: shards made from
    something else go. progress, stream: as for `deduplicate`. Raises UserError where rows, a setting or the output
    cannot work.

    >>> write_shards(tokenize(result), output="shards", shard_tokens=1_000_000)    # doctest: +SKIP
    """
    keywords = ("output", "tokens_column", "id_column", "overwrite", "spark", "progress", "stream")
    settings = from_keywords(ShardSettings, settings, fields, keywords)
    check_arguments(("output",), output=output, overwrite=overwrite, spark=spark, progress=progress, stream=stream)
    columns = TokenRowsSettings(tokens_column, id_column)
    rows = source_of(place_of(tokens))
    if not isinstance(rows, list):
        raise UserError("token rows are read from files: hand over what `tokenize` returns, or paths")
    spark = spark or get_session("sparkprep shards")
    told, folder = Progress(spark, stream or display_for(progress), SHARDS), normalise(output)
    manifest = make_shards(
        spark,
        rows,
        folder,
        settings,
        told,
        tokens_column=columns.tokens_column,
        id_column=columns.id_column,
        overwrite=overwrite,
    )
    told.warn(manifest["warnings"])
    return ShardsResult(manifest, folder)
