"""The schema of the tables, as data: one specification per table, and one for each further head.

`docs/tables.md` lists the columns. The partition of a recording is named in the hive style
(`detections/recording=NAME/data.parquet`), so `recording` is a column for every reader without being in the
file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from perception.errors import MissingExtraError
from perception.types import extra_specs

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
"""The version of the schema: a column that goes or changes its meaning raises it."""

MARK = "perception.tables"
"""The key of the schema version in the metadata of each file."""

FILE = "data.parquet"
PARTITION = "recording="

RUNS = "runs"
"""The table with one row per recording; it is put last: a recording without it is not whole."""

TICK = (("receipt", "string"), ("tick", "int64"), ("stamp_ns", "int64"))
"""The columns that every table but `runs` begins with."""

SIDES = ("x1", "y1", "x2", "y2")
COVARIANCE = tuple(f"cov_{a}{b}_m2" for a in "xyz" for b in "xyz")


class TableSpec(NamedTuple):
    """A table.

    Attributes:
        name: Its name, and that of its folder.
        row: What one row is.
        columns: Names and types of the columns.
    """

    name: str
    row: str
    columns: tuple[tuple[str, str], ...]


def _doubles(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, "double") for name in names)


_CAMERA = ("camera", "string")

VALUES = (
    ("channel", "string"),
    ("item", "int64"),
    ("unit", "string"),
    *_doubles("value", "std", "true", "measured", "error"),
)
"""The columns of `control` and of every further head."""

_FIXED = (
    TableSpec(
        RUNS,
        "a recording, and the run that its tables come from",
        (
            ("receipt", "string"),
            ("schema_version", "int64"),
            ("log", "string"),
            ("log_path", "string"),
            ("log_bytes", "int64"),
            ("log_start_ns", "int64"),
            ("log_end_ns", "int64"),
            ("sensor_start_ns", "int64"),
            ("start_ns", "int64"),
            ("end_ns", "int64"),
            ("status", "string"),
            ("frames", "int64"),
            ("errors", "int64"),
            ("plugin", "string"),
            ("backend", "string"),
            ("precision", "string"),
            ("device", "string"),
            ("weights_sha256", "string"),
            ("outputs_sha256", "string"),
            ("messages_sha256", "string"),
            ("workers", "int64"),
            ("replay_options", "string"),
            ("light", "string"),
            ("config", "string"),
            ("run", "string"),
            ("summary", "string"),
        ),
    ),
    TableSpec(
        "ticks",
        "a tick",
        (
            *TICK,
            ("log_time_ns", "int64"),
            ("at_s", "double"),
            ("kind", "string"),
            _CAMERA,
            ("warnings", "string"),
        ),
    ),
    TableSpec(
        "heads",
        "a head at a tick; of detections, for each camera",
        (
            *TICK,
            ("head", "string"),
            _CAMERA,
            ("valid", "bool"),
            ("based_on", "list<string>"),
            ("error", "string"),
            ("position_frame", "string"),
            ("truth", "bool"),
            ("truth_missing", "string"),
            ("truth_missing_text", "string"),
            ("frame_from_picture", "list<double>"),
        ),
    ),
    TableSpec(
        "detections",
        "a detection",
        (
            *TICK,
            _CAMERA,
            ("item", "int64"),
            ("label", "string"),
            ("score", "double"),
            *_doubles(*SIDES, *(f"{side}_std" for side in SIDES), "distance_m", "distance_std_m"),
            ("visible", "double"),
            ("track_id", "string"),
            *_doubles("x_m", "y_m", "z_m", *COVARIANCE),
            ("position_frame", "string"),
            ("position_unknown", "string"),
        ),
    ),
    TableSpec("control", "a channel of the control head", (*TICK, *VALUES)),
    TableSpec(
        "inputs",
        "a sensor at a tick",
        (
            *TICK,
            ("sensor", "string"),
            ("kind", "string"),
            ("topic", "string"),
            ("present", "bool"),
            ("input_stamp_ns", "int64"),
            ("age_ms", "double"),
            ("absence", "string"),
            ("reason", "string"),
        ),
    ),
    TableSpec(
        "status",
        "a status channel at a tick: its last value by then",
        (*TICK, ("channel", "string"), *_doubles("value")),
    ),
    TableSpec("timing", "a stage of a tick", (*TICK, ("stage", "string"), *_doubles("ms"))),
    TableSpec(
        "truth",
        "a true box",
        (
            *TICK,
            _CAMERA,
            ("item", "int64"),
            ("label", "string"),
            *_doubles(*SIDES, "distance_m", "visible"),
            ("track_id", "string"),
            *_doubles("picture_x_m", "picture_y_m", "picture_z_m"),
            ("ignore", "bool"),
        ),
    ),
    TableSpec(
        "matches",
        "a detection or a true box, and what the other side has for it at overlap 0.5",
        (
            *TICK,
            _CAMERA,
            ("outcome", "string"),
            ("detection", "int64"),
            ("truth", "int64"),
            ("label", "string"),
            ("true_label", "string"),
            *_doubles("score", "overlap", "distance_m", "true_distance_m", "distance_error_m"),
        ),
    ),
    TableSpec(
        "ledger",
        "a message, or several that could not be read",
        (
            *TICK,
            ("topic", "string"),
            ("log_time_ns", "int64"),
            ("row", "string"),
            ("count", "int64"),
            ("note", "string"),
        ),
    ),
)


def table_specs() -> dict[str, TableSpec]:
    """Return the specification of each table by name; the table of a further head is called like the head."""
    heads = (
        TableSpec(spec.name, f"a channel of the head {spec.name}", (*TICK, *VALUES)) for spec in extra_specs()
    )
    return {spec.name: spec for spec in (*_FIXED, *heads)}


def arrow_schema(spec: TableSpec) -> pa.Schema:
    """Return the Arrow schema of a table, with the version among its metadata."""
    pa = load_pyarrow("tables")
    kinds = {
        "string": pa.string(),
        "int64": pa.int64(),
        "double": pa.float64(),
        "bool": pa.bool_(),
        "list<string>": pa.list_(pa.string()),
        "list<double>": pa.list_(pa.float64()),
    }
    fields = [pa.field(name, kinds[kind]) for name, kind in spec.columns]
    return pa.schema(fields, metadata={MARK: str(VERSION)})


def load_pyarrow(what: str) -> Any:
    """Import pyarrow with its Parquet module.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError(what, "tables") from None
    return pyarrow
