"""SQL of a condition: names become columns, constants are written anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from perception.evaluation.find.expression import Applied, Kind, Named, Node, WrittenValue, wrong_condition
from perception.evaluation.find.names import ITEMS, TableValue
from perception.sinks.tables import RUNS

_LOGIC = ("and", "or", "not")
_ORDER = ("<", "<=", ">", ">=")
_ARITHMETIC = ("+", "-", "*", "/", "neg", "abs")
_SQL = {"neg": "(-{0})", "abs": "abs({0})", "known": "({0} is not null)", "not": "(not {0})"}

_JOINED = {"flag": "bool_and", "text": "max"}
"""The aggregate function for several rows of one tick, by kind of value. Of texts, any that is not empty."""
_OF_TRUTH = {
    "truth": "head = 'detections' and truth",
    "matches": "head = 'detections' and truth and valid is not null",
}
"""Tables without rows where truth is not known, and the rows of `heads` that say that it is."""


def condition_sql(node: Node, values: Mapping[str, TableValue]) -> str:
    """Return the SQL of a condition over the columns `v0`, `v1`, ... of the values in their order.

    Raises:
        ConfigError: A part has a type that its place does not take.
    """
    columns = {name: f"v{place}" for place, name in enumerate(values)}
    sql, kind = _sql(node, values, columns)
    if kind != "flag":
        raise wrong_condition([f"expected a condition (speed > 5), found a {kind}"])
    return sql


def _sql(node: Node, values: Mapping[str, TableValue], columns: Mapping[str, str]) -> tuple[str, Kind]:
    if isinstance(node, WrittenValue):
        return _constant(node.value)
    if isinstance(node, Named):
        return columns[str(node)], values[str(node)].kind
    parts = [_sql(value, values, columns) for value in node.values]
    kinds = {kind for _, kind in parts}
    _check(node, kinds)
    texts = [sql for sql, _ in parts]
    form = _SQL.get(node.sign, f"({{0}} {node.sign} {{1}})")
    if node.sign == "/":
        form = "({0} / nullif({1}, 0))"  # what is divided by 0 is not known
    return form.format(*texts), "number" if node.sign in _ARITHMETIC else "flag"


def _check(node: Applied, kinds: set[Kind]) -> None:
    """Raise where an operator does not take the types of its operands."""
    sign = node.sign
    wanted = "flag" if sign in _LOGIC else "number" if sign in (*_ARITHMETIC, *_ORDER) else ""
    if wanted and kinds != {wanted}:
        noun = {"flag": "conditions", "number": "numbers"}[wanted]
        other = ", ".join(f"a {kind}" for kind in sorted(kinds - {wanted}))
        raise wrong_condition([f"'{sign}' takes {noun}, found {other}"])
    if sign in ("=", "<>") and len(kinds) > 1:
        raise wrong_condition([f"'{sign}' compares values of one type, found {' and '.join(sorted(kinds))}"])


def _constant(value: float | str | bool) -> tuple[str, Kind]:
    if isinstance(value, bool):
        return str(value).lower(), "flag"
    if isinstance(value, str):
        return text_sql(value), "text"
    return f"{value!r}::double", "number"


def text_sql(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''").replace("\0", "") + "'"


def query_sql(values: Mapping[str, TableValue], condition: str, source: Callable[[str], str]) -> str:
    """Return the query of the ticks for which a condition holds, in order.

    Args:
        values: The values that the condition names, which become `v0`, `v1`, ...
        condition: Its SQL.
        source: Returns the SQL of a table, with the columns `recording` and `receipt`.
    """
    columns, joins = [], []
    items = next((v.table for v in values.values() if v.table in ITEMS and v.column != "count"), None)
    for place, value in enumerate(values.values()):
        if value.table == "ticks":
            columns.append(f"t.{value.column} as v{place}")
        elif value.table == RUNS:
            columns.append(f"r.{value.column} as v{place}")
        elif value.table == items and value.column != "count":
            columns.append(f"{_number(value, f'i.{value.column}')} as v{place}")
        else:
            joins.append(f"left join ({_of_tick(value, source)}) j{place} using (recording, tick)")
            none_said = value.column == "count" and value.table not in _OF_TRUTH
            columns.append(f"coalesce(j{place}.v, 0) as v{place}" if none_said else f"j{place}.v as v{place}")
    if items is not None:
        joins.append(f"join {source(items)} i using (recording, tick)")
    chosen = "".join(f", {column}" for column in columns)
    keys = "recording, t.tick, t.at_s, t.log_time_ns"
    inner = (
        f"select {keys}{chosen} from {source('ticks')} t join {source(RUNS)} r using (recording) "
        f"{' '.join(joins)}"
    )
    shown = "".join(f", first(v{place}) as v{place}" for place in range(len(values)))
    return (
        f"select recording, tick, at_s, log_time_ns{shown} from ({inner}) where {condition} "
        "group by recording, tick, at_s, log_time_ns order by recording, at_s, tick"
    )


def _of_tick(value: TableValue, source: Callable[[str], str]) -> str:
    """Return the query of one value by recording and tick.

    Detections have a head for each camera: they are valid where those of all cameras are. A count of truth
    has a row where truth is known.
    """
    where = " and ".join(f"{column} = {text_sql(text)}" for column, text in value.where)
    column = {"count": "count(*)", "sum": "sum(ms)"}.get(value.column)
    if column is None:
        column = f"{_JOINED.get(value.kind, 'any_value')}({_number(value, value.column)})"
    condition = f" where {where}" if where else ""
    rows = f"{source(value.table)}{condition}"
    if value.column == "count" and value.table in _OF_TRUTH:
        known = f"select distinct recording, tick from {source('heads')} where {_OF_TRUTH[value.table]}"
        rows = f"({known}) left join (select recording, tick, 1 as row from {rows}) using (recording, tick)"
        column = "count(row)"
    return f"select recording, tick, {column} as v from {rows} group by recording, tick"


def _number(value: TableValue, column: str) -> str:
    """Return a column in which NaN is not known: it would be greater than every number."""
    if value.kind != "number":
        return column
    return f"nullif({column}::double, 'nan'::double)"
