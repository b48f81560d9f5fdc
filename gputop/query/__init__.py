"""The filter language of the process table: ``ann gpu:0 mem>10G !state:sleeping``."""

from gputop.query.fields import FIELDS, PROCESSES, Field, Language
from gputop.query.language import Filter, QueryError, compile_filter
from gputop.query.subject import Amount, Place, Subject

__all__ = [
    "FIELDS",
    "PROCESSES",
    "Amount",
    "Field",
    "Filter",
    "Language",
    "Place",
    "QueryError",
    "Subject",
    "compile_filter",
]
