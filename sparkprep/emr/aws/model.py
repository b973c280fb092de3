"""What the AWS interface itself says: values of its enumerations, and whether a request is one that it takes.

botocore checks keys and types of a request before it goes out, and no value: a request with a role that does not exist
passes it, and fails minutes later, or is taken for something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from sparkprep.errors import UserError
from sparkprep.kinds import OneOf
from sparkprep.pasted import did_you_mean

EMR = "emr"
SERVERLESS = "emr-serverless"


@lru_cache(maxsize=2)
def service(name: str) -> ServiceModel:
    """Return the model of a service, as botocore has it on its disk."""
    return ServiceModel(Loader().load_service_model(name, "service-2"), name)


def values_of(shape: str, of: str = EMR) -> tuple[str, ...]:
    """Return the values of an enumeration."""
    return tuple(service(of).shape_for(shape).enum)


@dataclass(frozen=True)
class Enumerated:
    """One of the words of an enumeration of EMR; the model is read when a word is to be checked."""

    shape: str

    def __call__(self, word: str) -> str:
        return self.check(word)

    def check(self, value: Any) -> str:
        """Return a value as plain Python has it; raises argparse.ArgumentTypeError for one that is not of this kind."""
        return OneOf(values_of(self.shape)).check(value)


def check_request(of: str, operation: str, request: Mapping[str, Any]) -> None:
    """Raise UserError where a request has an unknown key, a wrong type or a word that its enumeration does not have."""
    shape = service(of).operation_model(operation).input_shape
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        raise UserError(f"{operation}: {' '.join(report.generate_report().split())}")
    for place, value, words in _foreign_words(shape, request, operation):
        raise UserError(f"{place}: {value!r} is none of {', '.join(words)}{did_you_mean(value, words)}")


def _foreign_words(shape: Any, value: Any, place: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yield place, word and the known words of what no enumeration has, at any depth."""
    if shape.type_name == "structure":
        for name, inner in value.items():
            yield from _foreign_words(shape.members[name], inner, f"{place}.{name}")
    elif shape.type_name == "list":
        for number, inner in enumerate(value):
            yield from _foreign_words(shape.member, inner, f"{place}[{number}]")
    elif shape.type_name == "map":
        for name, inner in value.items():
            yield from _foreign_words(shape.value, inner, f"{place}.{name}")
    elif shape.type_name == "string" and shape.enum and value not in shape.enum:
        yield place, value, list(shape.enum)
