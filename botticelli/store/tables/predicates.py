"""WHERE and ORDER BY out of a file: parsed, checked, and written anew with everything bound.

Nothing of the text itself reaches the database. The parse tree is rendered from a short list of
what may stand in it; names are quoted, literals become parameters, everything else is refused.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

from psycopg import sql

from botticelli.errors import ConfigError
from botticelli.records import record

if TYPE_CHECKING:
    from sqlglot import exp

LONGEST: Final = 2_000  # characters; a filter is one line
COLUMN: Final = re.compile(r"[^\W\d]\w{0,62}")
ORDER: Final = re.compile(
    r"\s*(?:\"(?P<quoted>\w+)\"|(?P<bare>[^\W\d]\w*))"
    r"(?:\s+(?P<way>asc|desc))?(?:\s+nulls\s+(?P<nulls>first|last))?\s*",
    re.IGNORECASE,
)
UNIT: Final = re.compile(
    r"(?:MICRO|MILLI)?SECONDS?|MINUTES?|HOURS?|DAYS?|WEEKS?|MONTHS?|YEARS?", re.IGNORECASE
)
OPERATORS: Final[Mapping[str, str]] = {
    "EQ": "=", "NEQ": "<>", "GT": ">", "GTE": ">=", "LT": "<", "LTE": "<=",
    "And": "AND", "Or": "OR", "Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "Mod": "%%",
    "DPipe": "||", "Like": "LIKE", "ILike": "ILIKE", "Is": "IS",
    "NullSafeEQ": "IS NOT DISTINCT FROM", "NullSafeNEQ": "IS DISTINCT FROM",
    "ArrayContainsAll": "@>", "JSONBContainsTopKey": "?",
}  # fmt: skip
# Function -> its name, and which parts of the tree are its arguments, in order.
FUNCTIONS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "Lower": ("lower", ("this",)), "Upper": ("upper", ("this",)), "Trim": ("btrim", ("this",)),
    "Length": ("length", ("this",)), "Abs": ("abs", ("this",)), "Ceil": ("ceil", ("this",)),
    "Floor": ("floor", ("this",)), "Round": ("round", ("this", "decimals")),
    "Coalesce": ("coalesce", ("this", "expressions")),
    "Greatest": ("greatest", ("this", "expressions")),
    "Least": ("least", ("this", "expressions")),
    "Nullif": ("nullif", ("this", "expression")), "Left": ("left", ("this", "expression")),
    "Right": ("right", ("this", "expression")),
    "StartsWith": ("starts_with", ("this", "expression")),
    "StrPosition": ("strpos", ("this", "substr")),
    "Substring": ("substr", ("this", "start", "length")),
    "Replace": ("replace", ("this", "expression", "replacement")),
}  # fmt: skip
# What else a part of the tree may say of itself. Anything unknown is refused: it could mean NOT.
FURTHER: Final[Mapping[str, frozenset[str]]] = {
    "Like": frozenset({"negate"}), "ILike": frozenset({"negate"}), "Is": frozenset({"negate"}),
    "Div": frozenset({"typed", "safe"}), "DPipe": frozenset({"safe"}), "In": frozenset({"negate"}),
    "Between": frozenset({"low", "high", "negate"}), "Cast": frozenset({"to"}),
    "Interval": frozenset({"unit"}), "TimestampTrunc": frozenset({"unit"}),
    "Greatest": frozenset({"ignore_nulls"}), "Least": frozenset({"ignore_nulls"}),
    "Literal": frozenset({"is_string"}), "Escape": frozenset({"this", "expression"}),
    "JSONExtractScalar": frozenset({"only_json_types"}),
}  # fmt: skip
CONSTANTS: Final[Mapping[str, str]] = {
    "CurrentTimestamp": "botticelli_now()",
    "CurrentDate": "(botticelli_now())::date",
    "Null": "NULL",
}
CASTS: Final[Mapping[str, str]] = {
    "TEXT": "text", "VARCHAR": "text", "INT": "integer", "BIGINT": "bigint", "BOOLEAN": "boolean",
    "DECIMAL": "numeric", "DOUBLE": "double precision", "DATE": "date", "INTERVAL": "interval",
    "TIMESTAMP": "timestamp", "TIMESTAMPTZ": "timestamptz",
}  # fmt: skip
DATE_PARTS: Final = frozenset(
    {"MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR", "DOW", "ISODOW", "DOY", "EPOCH"}
)


class BadPredicate(ConfigError):
    """A filter or an order that cannot be accepted."""


@record
class Predicate:
    """A checked filter: `clause` for a statement that is also given `parameters` and `now`.

    Its columns are those of a table with the alias t.
    """

    clause: sql.Composable
    parameters: Mapping[str, Any]
    columns: frozenset[str]


EVERYTHING: Final = Predicate(clause=sql.SQL("true"), parameters={}, columns=frozenset())


def parse_where(text: str) -> Predicate:
    """Return a filter that is exactly one boolean expression; all rows for an empty text.

    Allowed are columns, literals, comparisons, AND, OR, NOT, IN, BETWEEN, LIKE, IS, arithmetic,
    intervals, `column ->> 'key'`, @> and ? on JSON, casts to plain types and the functions now,
    lower, upper, length, trim, left, right, substring, position, starts_with, replace, abs, ceil,
    floor, round, coalesce, nullif, greatest, least, date_trunc and extract.

    Raises:
        BadPredicate: It is anything else.
    """
    if not text.strip():
        return EVERYTHING
    root = _parse(text)
    rendering = _Rendering()
    clause = rendering.node(root)
    if not _is_boolean(root):
        raise _refused("is not a condition", text)
    return Predicate(
        clause=clause, parameters=rendering.parameters, columns=frozenset(rendering.columns)
    )


def parse_order_by(text: str) -> sql.Composable:
    """Return an ORDER BY list of columns, each with ASC or DESC and NULLS FIRST or LAST.

    The columns are those of a table with the alias t.

    Raises:
        BadPredicate: It is anything else.
    """
    terms = []
    for part in text.split(","):
        match = ORDER.fullmatch(part)
        if not match or len(match["quoted"] or match["bare"]) > 63:
            raise BadPredicate(
                f"cannot order by '{part.strip()[:60]}'",
                where="order_by",
                hint="name columns, each with ASC or DESC",
            )
        pieces: list[sql.Composable] = [
            sql.Identifier("t", match["quoted"] or match["bare"].lower())
        ]
        if match["way"]:
            pieces.append(sql.SQL("DESC" if match["way"].lower() == "desc" else "ASC"))
        if match["nulls"]:
            last = match["nulls"].lower() == "last"
            pieces.append(sql.SQL("NULLS LAST" if last else "NULLS FIRST"))
        terms.append(sql.SQL(" ").join(pieces))
    return sql.SQL(", ").join(terms)


def order_columns(text: str) -> frozenset[str]:
    """Return the columns that an accepted ORDER BY names."""
    matches = (ORDER.fullmatch(part) for part in text.split(",") if part.strip())
    return frozenset(match["quoted"] or match["bare"].lower() for match in matches if match)


def _parse(text: str) -> "exp.Expression":
    import sqlglot
    from sqlglot.errors import SqlglotError

    is_unicode = not any("\ud800" <= sign <= "\udfff" for sign in text)
    if len(text) > LONGEST or "\x00" in text or not is_unicode:
        raise _refused(f"is longer than {LONGEST} characters, or no text", text)
    try:
        tokens = sqlglot.tokenize(text, read="postgres")
        if any(
            token.comments or token.token_type.name in ("SEMICOLON", "HINT") for token in tokens
        ):
            raise _refused("holds a comment or a second statement", text)
        found = sqlglot.parse(text, read="postgres")
    except (SqlglotError, RecursionError, ValueError, IndexError) as error:
        raise _refused("cannot be read", text) from error
    if len(found) != 1 or found[0] is None:
        raise _refused("is not one condition", text)
    root: Any = found[0]
    return cast("exp.Expression", root)


def _is_boolean(node: "exp.Expression") -> bool:
    from sqlglot import exp

    if isinstance(node, exp.Paren):
        return _is_boolean(node.this)
    wanted = (
        exp.Predicate, exp.Connector, exp.Not, exp.Boolean, exp.Column, exp.Binary, exp.StartsWith,
        exp.Escape,
    )  # fmt: skip
    arithmetic = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.DPipe)
    return isinstance(node, wanted) and not isinstance(node, arithmetic)


def _refused(why: str, text: str) -> BadPredicate:
    return BadPredicate(
        f"the filter '{text[:80]}' {why}",
        where="where_clause",
        hint="write one condition on columns of the table, such as review_status = 'pending'",
    )


def _refuse_unknown(node: "exp.Expression", kind: str) -> None:
    """Refuse what the parser understood and we would not pass on."""
    known = {"this", "expression", "expressions", *FURTHER.get(kind, ())}
    known |= set(FUNCTIONS[kind][1]) if kind in FUNCTIONS else set()
    more = [key for key, value in node.args.items() if value and key not in known]
    if kind in CONSTANTS and node.args.get("this"):
        more.append("this")
    if kind != "Column" and more:
        raise _refused("says something in an unusual way", node.sql(dialect="postgres"))


@dataclass(kw_only=True)
class _Rendering:
    """Writes a tree anew; literals are collected as parameters w0, w1 ..."""

    parameters: dict[str, Any] = field(default_factory=dict)
    columns: set[str] = field(default_factory=set)

    def node(self, node: "exp.Expression") -> sql.Composable:
        kind = type(node).__name__
        _refuse_unknown(node, kind)
        if node.args.get("negate"):
            positive = node.copy()
            positive.set("negate", None)
            return sql.SQL("(NOT {})").format(self.node(positive))
        if kind in CONSTANTS:
            return sql.SQL(CONSTANTS[kind])
        if kind == "Is" and type(node.args["expression"]).__name__ not in ("Null", "Boolean"):
            raise _refused("compares by IS with something else than null", node.sql())
        if kind in OPERATORS:
            left, right = self.node(node.this), self.node(node.args["expression"])
            return sql.SQL("({} {} {})").format(left, sql.SQL(OPERATORS[kind]), right)
        if kind in FUNCTIONS:
            return self._call(*FUNCTIONS[kind], node=node)
        own = self._own().get(kind)
        if own is None:
            raise BadPredicate(
                f"{node.sql(dialect='postgres')[:60]!r} may not stand in a filter",
                where="where_clause",
                hint="use columns, literals, comparisons, AND, OR, NOT and intervals",
            )
        return own(node)

    def _own(self) -> Mapping[str, Callable[[Any], sql.Composable]]:
        return {
            "Column": self._column,
            "Literal": self._literal,
            "Escape": self._escape,
            "Boolean": lambda node: sql.SQL("true" if node.this else "false"),
            "Paren": lambda node: sql.SQL("({})").format(self.node(node.this)),
            "Not": lambda node: sql.SQL("(NOT {})").format(self.node(node.this)),
            "Neg": lambda node: sql.SQL("(- {})").format(self.node(node.this)),
            "In": self._in,
            "Between": self._between,
            "Interval": self._interval,
            "Cast": self._cast,
            "TimestampTrunc": self._trunc,
            "Extract": self._extract,
            "JSONExtractScalar": self._json_text,
        }

    def _bind(self, value: Any) -> sql.Composable:
        name = f"w{len(self.parameters)}"
        self.parameters[name] = value
        return sql.Placeholder(name)

    def _column(self, node: "exp.Column") -> sql.Composable:
        identifier = node.this
        name = str(identifier.this)
        name = name if identifier.args.get("quoted") else name.lower()
        if node.args.get("table") or not COLUMN.fullmatch(name):
            raise _refused("names something that is not a column", node.sql(dialect="postgres"))
        self.columns.add(name)
        return sql.Identifier("t", name)

    def _literal(self, node: "exp.Literal") -> sql.Composable:
        if node.is_string:
            return self._bind(str(node.this))
        digits = str(node.this)
        return self._bind(int(digits) if digits.isdecimal() else Decimal(digits))

    def _call(self, name: str, parts: Sequence[str], *, node: "exp.Expression") -> sql.Composable:
        given = [node.args.get(part) for part in parts]
        arguments = [each for one in given for each in (one if isinstance(one, list) else [one])]
        rendered = [self.node(argument) for argument in arguments if argument is not None]
        return sql.SQL("{}({})").format(sql.SQL(name), sql.SQL(", ").join(rendered))

    def _escape(self, node: "exp.Escape") -> sql.Composable:
        like, sign = node.this, node.args["expression"]
        is_sign = type(sign).__name__ == "Literal" and sign.is_string and len(sign.this) == 1
        if type(like).__name__ not in ("Like", "ILike") or not is_sign:
            raise _refused("escapes in an unusual way", node.sql(dialect="postgres"))
        is_negated = bool(like.args.get("negate"))
        left, right = self.node(like.this), self.node(like.args["expression"])
        found = sql.SQL("({} {} {} ESCAPE {})").format(
            left, sql.SQL(OPERATORS[type(like).__name__]), right, self._bind(sign.this)
        )
        return sql.SQL("(NOT {})").format(found) if is_negated else found

    def _in(self, node: "exp.In") -> sql.Composable:
        choices: Sequence[exp.Expression] = node.args.get("expressions") or []
        if not choices or node.args.get("query"):
            raise _refused("needs a list after IN", node.sql(dialect="postgres"))
        rendered = sql.SQL(", ").join([self.node(choice) for choice in choices])
        return sql.SQL("({} IN ({}))").format(self.node(node.this), rendered)

    def _between(self, node: "exp.Between") -> sql.Composable:
        low, high = self.node(node.args["low"]), self.node(node.args["high"])
        return sql.SQL("({} BETWEEN {} AND {})").format(self.node(node.this), low, high)

    def _interval(self, node: "exp.Interval") -> sql.Composable:
        amount = node.this
        unit = str(node.args["unit"]) if node.args.get("unit") else ""
        if (
            amount is None
            or type(amount).__name__ != "Literal"
            or (unit and not UNIT.fullmatch(unit))
        ):
            raise _refused("holds a strange interval", node.sql(dialect="postgres"))
        text = f"{amount.this} {unit}".strip()
        return sql.SQL("{}::interval").format(self._bind(text))

    def _cast(self, node: "exp.Cast") -> sql.Composable:
        kind = node.to.this.name if hasattr(node.to.this, "name") else ""
        if type(node.to.this).__name__ == "Interval":
            kind = "INTERVAL"
        if kind not in CASTS or node.to.args.get("expressions"):
            raise _refused("casts to a type that is not allowed", node.sql(dialect="postgres"))
        return sql.SQL("({}::{})").format(self.node(node.this), sql.SQL(CASTS[kind]))

    def _trunc(self, node: "exp.TimestampTrunc") -> sql.Composable:
        unit = str(node.args["unit"].name).upper()
        if unit not in DATE_PARTS:
            raise _refused("truncates to a strange unit", node.sql(dialect="postgres"))
        return sql.SQL("date_trunc({}, {})").format(self._bind(unit.lower()), self.node(node.this))

    def _extract(self, node: "exp.Extract") -> sql.Composable:
        part = str(node.this.name).upper()
        if part not in DATE_PARTS:
            raise _refused("extracts a strange part", node.sql(dialect="postgres"))
        source = self.node(node.args["expression"])
        return sql.SQL("date_part({}, {})").format(self._bind(part.lower()), source)

    def _json_text(self, node: "exp.JSONExtractScalar") -> sql.Composable:
        steps = getattr(node.args["expression"], "expressions", None) or []
        key = (
            steps[-1].this
            if len(steps) == 2 and type(steps[-1]).__name__ == "JSONPathKey"
            else None
        )
        if not isinstance(key, str):
            raise _refused("reaches into JSON by more than one key", node.sql(dialect="postgres"))
        return sql.SQL("({} ->> {})").format(self.node(node.this), self._bind(key))
