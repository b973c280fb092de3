"""Releases of EMR: which can run this package, what comes with them, and until when AWS supports them."""

from __future__ import annotations

import re
from datetime import date

from sparkprep.errors import UserError, argument

_LABEL = re.compile(r"emr-(?P<spark>spark-)?(?P<major>\d+)\.(?P<minor>\d+)\.(?P<patch>\d+)")
_SUPPORT_ENDS = {
    (7, 3): date(2026, 10, 16),
    (7, 4): date(2026, 11, 13),
    (7, 5): date(2026, 11, 21),
    (7, 7): date(2027, 2, 6),
    (7, 9): date(2027, 5, 20),
    (7, 10): date(2027, 8, 16),
    (7, 13): date(2028, 4, 22),
    (7, 14): date(2028, 9, 9),
    (8, 0): date(2027, 5, 20),
    (8, 1): date(2029, 9, 8),
}
"""From this day on without support, by the pages "Amazon EMR release 7.x.0" of the release guide, in November 2026."""
_OF_EMR_7 = (
    *("AmazonCloudWatchAgent", "Delta", "Flink", "HBase", "HCatalog", "Hadoop", "Hive", "Hudi", "Hue", "Iceberg"),
    *(
        "JupyterEnterpriseGateway",
        "JupyterHub",
        "Livy",
        "MXNet",
        "Oozie",
        "Phoenix",
        "Pig",
        "Presto",
        "Spark",
        "TensorFlow",
    ),
    *("Tez", "Trino", "Zeppelin", "ZooKeeper"),
)
"""By the page "Application versions in Amazon EMR 7.x releases" of the release guide."""
_SPARK_4_ONLY = ("Spark", "Livy", "JupyterEnterpriseGateway", "Delta", "Hudi", "Iceberg", "AmazonCloudWatchAgent")


def version_of(label: str) -> tuple[int, int]:
    """Return (major, minor) of a release label. Raises UserError for what is none, or cannot run this package."""
    match = _LABEL.fullmatch(label)
    if match is None:
        raise UserError(f"{argument('release')}: {label!r} is no release label; write it like emr-7.7.0")
    version = int(match["major"]), int(match["minor"])
    if match["spark"]:
        if version[0] != 8:
            raise UserError(f"{argument('release')}: {label}: of emr-spark this package knows 8.x alone")
    elif version[0] != 7 or version[1] < 1:
        raise UserError(
            f"{argument('release')}: {label}: Python 3.11 comes with emr-7.1.0 and later 7.x, and with emr-spark-8.x"
        )
    return version


def applications_of(label: str) -> tuple[str, ...]:
    """Return what a cluster of a release is given by default: Hadoop, Spark and what serves notebooks there."""
    return ("Hadoop", "Spark", "JupyterHub") if version_of(label)[0] == 7 else _SPARK_4_ONLY[:3]


def check_applications(label: str, applications: tuple[str, ...]) -> None:
    """Raise UserError for applications that a release does not have, or a list without Spark."""
    if "Spark" not in applications:
        near = next((f"; did you mean Spark for {each}?" for each in applications if each.lower() == "spark"), "")
        raise UserError(f"{argument('applications')}: Spark is missing{near}")
    known = _SPARK_4_ONLY if version_of(label)[0] == 8 else _OF_EMR_7
    for each in applications:
        if each not in known:
            raise UserError(f"{argument('applications')}: {label} has no {each}; it has {', '.join(known)}")


def support_of(label: str, today: date) -> tuple[str, bool]:
    """Return what there is to tell of a release's support, and whether it is a warning."""
    version = version_of(label)
    later = [known for known in sorted(_SUPPORT_ENDS) if known[0] == version[0] and known >= version]
    if not later:
        return f"{label} is newer than the releases that this version of sparkprep knows", False
    end = _SUPPORT_ENDS[later[0]]
    when = f"{end}" if later[0] == version else f"{end} at the latest"
    if end <= today:
        return f"{label} is out of AWS's support since {when}; newer: emr-7.14.0", True
    return f"{label} is supported by AWS until {when}", False
