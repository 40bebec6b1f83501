"""Caffe's prototxt: protobuf's text format, read with the line and column of every field and value.

No schema is needed: what a name may be, and of which type its value must be, is `schema`'s business. Nothing that
is read can raise, recurse or run: a syntax error is the message's `Message.fault`, and what stood before it is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from .prototxt_lexer import Lines, SyntaxProblem, Token, tokens

DEEPEST = 100
"""Messages inside messages; Caffe's own nets need six."""

CLOSERS = {"{": "}", "<": ">"}
TRUE, FALSE = ("true", "True", "t"), ("false", "False", "f")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a text is no prototxt, and where (both counts from 1)."""

    reason: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value that is no message.

    ``text`` of a number is as written, its sign included (``-inf`` is a number, ``inf`` a word); of a string it is
    the contents, adjacent strings joined.
    """

    kind: Literal["word", "number", "string"]
    text: str
    line: int
    column: int

    @property
    def integer(self) -> int | None:
        """The whole number, decimal, hexadecimal or octal; ``None`` where it is none (``1e5`` is a float)."""
        if self.kind != "number":
            return None
        digits = self.text.lstrip("-").lower()
        try:
            if digits.startswith("0x"):
                magnitude = int(digits, 16)
            elif digits.startswith("0") and digits.isdecimal():
                magnitude = int(digits, 8)
            elif digits.isdecimal():
                magnitude = int(digits) if len(digits) < 400 else 10**400
            else:
                return None
        except ValueError:
            return None
        return -magnitude if self.text.startswith("-") else magnitude

    @property
    def double(self) -> float | None:
        """The number in double precision; ``None`` where it is none."""
        text = self.text.lower()
        if self.kind == "string":
            return None
        if text.lstrip("-") in ("inf", "infinity", "nan"):
            return float(text)
        if self.kind == "word":
            return None
        if (whole := self.integer) is not None:
            try:
                return float(whole)
            except OverflowError:
                return math.inf if whole > 0 else -math.inf
        return float(text.removesuffix("f"))

    @property
    def real(self) -> float | None:
        """The number as Caffe holds it: rounded to float32, infinite beyond its range; ``None`` where it is none."""
        double = self.double
        return None if double is None else float32(double)

    @property
    def boolean(self) -> bool | None:
        """The truth value, of a word or of 0 and 1; ``None`` where it is none."""
        if self.kind == "word":
            return True if self.text in TRUE else False if self.text in FALSE else None
        return {0: False, 1: True}.get(whole) if (whole := self.integer) is not None else None

    def __str__(self) -> str:
        return f'"{self.text}"' if self.kind == "string" else self.text


@dataclass(frozen=True, slots=True)
class Field:
    """A field as it stands in the file; ``line`` and ``column`` are the name's.

    Each element of a list ``[1, 2]`` is a field of its own. ``name`` of an extension is ``[package.name]``.
    """

    name: str
    value: Scalar | Message
    line: int
    column: int

    @property
    def scalar(self) -> Scalar | None:
        """The value, unless it is a message."""
        return self.value if isinstance(self.value, Scalar) else None

    @property
    def message(self) -> Message | None:
        """The value, if it is a message."""
        return self.value if isinstance(self.value, Message) else None


@dataclass(slots=True)
class Message:
    """Fields in the order of the file. ``line`` and ``column`` are those of the opening brace.

    The typed accessors give the last value of that name, as protobuf does, and the default where there is none or
    its type is another: `schema.check_message` complains of that, at the place.

    Attributes
    ----------
    fault
        Of the outermost message: the syntax error at which reading ended.
    """

    line: int = 1
    column: int = 1
    fields: list[Field] = field(default_factory=list)
    fault: Fault | None = None
    _by_name: dict[str, list[Field]] = field(default_factory=dict, repr=False, compare=False)

    def add(self, entry: Field) -> None:
        """Append a field."""
        self.fields.append(entry)
        self._by_name.setdefault(entry.name, []).append(entry)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def all(self, name: str) -> Sequence[Field]:
        """Every field of a name, in order."""
        return self._by_name.get(name, ())

    def first(self, name: str) -> Field | None:
        """The first field of a name."""
        return self._by_name[name][0] if name in self._by_name else None

    def get(self, name: str) -> Field | None:
        """The last field of a name: the one that counts."""
        return self._by_name[name][-1] if name in self._by_name else None

    def line_of(self, name: str) -> int:
        """The line of the field that counts, or of the message where it is absent."""
        entry = self.get(name)
        return self.line if entry is None else entry.line

    def scalar(self, name: str) -> Scalar | None:
        """The value of a name, ``None`` where it is absent or a message."""
        entry = self.get(name)
        return None if entry is None else entry.scalar

    def scalars(self, name: str) -> list[Scalar]:
        """All values of a name that are no messages."""
        return [entry.value for entry in self.all(name) if isinstance(entry.value, Scalar)]

    def message(self, name: str) -> Message | None:
        """The message of a name, ``None`` where it is absent or a scalar."""
        entry = self.get(name)
        return None if entry is None else entry.message

    def messages(self, name: str) -> list[Message]:
        """All messages of a name."""
        return [entry.value for entry in self.all(name) if isinstance(entry.value, Message)]

    def integer(self, name: str, default: int = 0) -> int:
        """A whole number."""
        value = self.scalar(name)
        whole = None if value is None else value.integer
        return default if whole is None else whole

    def integers(self, name: str) -> list[int]:
        """Whole numbers of a repeated field; others are left out."""
        return [whole for value in self.scalars(name) if (whole := value.integer) is not None]

    def real(self, name: str, default: float = 0.0) -> float:
        """A number as Caffe holds it, in float32; the default is rounded to it too."""
        value = self.scalar(name)
        number = None if value is None else value.real
        return float32(default) if number is None else number

    def reals(self, name: str) -> list[float]:
        """Numbers of a repeated field, in float32; others are left out."""
        return [number for value in self.scalars(name) if (number := value.real) is not None]

    def boolean(self, name: str, default: bool = False) -> bool:
        """A truth value."""
        value = self.scalar(name)
        truth = None if value is None else value.boolean
        return default if truth is None else truth

    def string(self, name: str, default: str = "") -> str:
        """A string; bytes that are not UTF-8 are lone surrogates."""
        value = self.scalar(name)
        return value.text if value is not None and value.kind == "string" else default

    def strings(self, name: str) -> list[str]:
        """Strings of a repeated field; others are left out."""
        return [value.text for value in self.scalars(name) if value.kind == "string"]

    def enum(self, name: str, values: Sequence[str], default: str) -> str:
        """An enum's word, also where its number was written; ``values[n]`` is the word of the number n."""
        value = self.scalar(name)
        if value is None:
            return default
        if value.kind == "word" and value.text in values:
            return value.text
        number = value.integer
        return values[number] if number is not None and 0 <= number < len(values) else default


def float32(number: float) -> float:
    """A number rounded to float32, as a Python float."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.float32(number))


def parse(text: str | bytes, first_line: int = 1) -> Message:
    """Read a prototxt; never raises.

    Parameters
    ----------
    text
        Bytes are read as UTF-8; what is not becomes lone surrogates.
    first_line
        The number of the first line, for a prototxt that stands inside a log.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    return _Parser(text, Lines(text, first_line)).run()


@dataclass(slots=True)
class _Open:
    """A message that has begun; ``listed`` is the field whose list ``[{...}, {...}]`` it stands in."""

    message: Message
    closer: str
    offset: int
    listed: Token | None = None


class _Parser:
    """Goes through the tokens once; open messages are on a stack of its own, so depth costs no recursion."""

    def __init__(self, text: str, lines: Lines) -> None:
        self.lines = lines
        self.tokens = tokens(text)
        self.token = Token("end", "", 0)
        self.stack: list[_Open] = []

    def run(self) -> Message:
        root = Message(*self.lines.place(0))
        self.stack.append(_Open(root, "", 0))
        try:
            self.advance()
            while self.step():
                pass
        except SyntaxProblem as problem:
            root.fault = Fault(problem.reason, *self.lines.place(problem.offset))
        return root

    def advance(self) -> Token:
        """The token at hand; the next one takes its place."""
        token = self.token
        self.token = next(self.tokens, token)  # the end stays at hand
        return token

    def take(self, symbol: str) -> bool:
        """Whether that symbol is at hand; if so it is passed."""
        if self.token.kind != "symbol" or self.token.text != symbol:
            return False
        self.advance()
        return True

    def fail(self, wanted: str) -> SyntaxProblem:
        return SyntaxProblem(f"{wanted} expected, found {self.token}", self.token.offset)

    def step(self) -> bool:
        """Read one field up to its value or opening brace, or one closing brace; ``False`` at the end."""
        inner = self.stack[-1]
        if self.token.kind == "end":
            if len(self.stack) > 1:
                line, _ = self.lines.place(inner.offset)
                raise SyntaxProblem(
                    f'"{inner.closer}" expected for the brace of line {line}, found the end of the file',
                    self.token.offset,
                )
            return False
        if len(self.stack) > 1 and self.take(inner.closer):
            self.stack.pop()
            if inner.listed is not None:
                self.go_on_with_list(inner.listed)
            else:
                self.end_field()
            return True
        name = self.field_name()
        colon = self.take(":")
        if self.token.kind == "symbol" and self.token.text in CLOSERS:
            self.open(name, None)
        elif self.take("["):
            self.begin_list(name, colon)
        elif colon:
            self.add(name, self.scalar())
            self.end_field()
        else:
            raise self.fail('":" or "{"')
        return True

    def field_name(self) -> Token:
        """A field's name, or an extension's or type's in brackets."""
        if self.token.kind == "word":
            return self.advance()
        start = self.token.offset
        if not self.take("["):
            raise self.fail("a field name")
        parts = []
        while not self.take("]"):
            part = self.advance()
            if part.kind != "word" and (part.kind, part.text) not in (("symbol", char) for char in "./-"):
                raise SyntaxProblem(f'"]" expected, found {part}', part.offset)
            parts.append(part.text)
        return Token("word", f"[{''.join(parts)}]", start)

    def add(self, name: Token, value: Scalar | Message) -> None:
        self.stack[-1].message.add(Field(name.text, value, *self.lines.place(name.offset)))

    def open(self, name: Token, listed: Token | None) -> None:
        """Begin the message whose brace is at hand."""
        if len(self.stack) > DEEPEST:
            raise SyntaxProblem(f"messages nested more than {DEEPEST} deep", self.token.offset)
        brace = self.advance()
        message = Message(*self.lines.place(brace.offset))
        self.add(name, message)
        self.stack.append(_Open(message, CLOSERS[brace.text], brace.offset, listed))

    def begin_list(self, name: Token, colon: bool) -> None:
        """The elements of a list; messages are read by `step`, one at a time."""
        if self.take("]"):
            self.end_field()
        elif self.token.kind == "symbol" and self.token.text in CLOSERS:
            self.open(name, name)
        elif not colon:
            raise self.fail('"{"')
        else:
            self.add(name, self.scalar())
            while self.take(","):
                self.add(name, self.scalar())
            if not self.take("]"):
                raise self.fail('"," or "]"')
            self.end_field()

    def go_on_with_list(self, name: Token) -> None:
        """After a message of a list: the next one, or the end of the list."""
        if self.take("]"):
            self.end_field()
            return
        if not self.take(","):
            raise self.fail('"," or "]"')
        if self.token.kind != "symbol" or self.token.text not in CLOSERS:
            raise self.fail('"{"')
        self.open(name, name)

    def end_field(self) -> None:
        """One separator may follow a field."""
        if not self.take(";"):
            self.take(",")

    def scalar(self) -> Scalar:
        """The value at hand."""
        token = self.token
        line, column = self.lines.place(token.offset)
        if token.kind == "string":
            parts = []
            while self.token.kind == "string":
                parts.append(self.advance().text)
            return Scalar("string", "".join(parts), line, column)
        sign = "-" if self.take("-") else ""
        token = self.token
        if token.kind == "number" or (sign and token.text.lower() in ("inf", "infinity", "nan")):
            return Scalar("number", sign + self.advance().text, line, column)
        if token.kind == "word" and not sign:
            return Scalar("word", self.advance().text, line, column)
        raise self.fail("a number" if sign else "a value")
