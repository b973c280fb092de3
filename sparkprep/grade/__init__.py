"""Precision, recall and F1 of a near-duplicate removal against a truth; works on Arrow columns, needs no Spark."""

from sparkprep.grade.grading import Grade, grade

__all__ = ["Grade", "grade"]
