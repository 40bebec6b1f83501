"""The classes that a summary is made of: whoever writes summaries down needs to know them all."""

from __future__ import annotations

from ..expectations import Expectations
from ..options import ProbeOptions, ProbeTask
from ..sample import ProbeFault
from .contents import ContentSummary
from .distinct import DistinctSketch
from .fields import FieldSummary
from .folders import FolderSummary
from .keys import Gap, KeySummary, NumberSeries
from .kinds import KindSummary
from .label_columns import RowColumn, ScalarColumn
from .label_counts import LabelCounts
from .label_sequence import LabelSequence, _Chunk
from .labels import LabelSummary
from .lists import KeyList, ListSummary
from .moments import Moments
from .near import NearSummary
from .positions import PositionLog, ValueLog
from .probe import Curve, ProbeSummary
from .repeats import Chunk
from .runs import Runs
from .shapes import ShapeSummary, ShapeTable
from .texts import TextSummary
from .total import Summary
from .twins import Kind, TwinSummary
from .values import ArrayName, ArrayStats, ValueSummary

CLASSES: tuple[type, ...] = (
    ArrayName,
    ArrayStats,
    Chunk,
    ContentSummary,
    DistinctSketch,
    Curve,
    Expectations,
    FieldSummary,
    FolderSummary,
    Gap,
    KeyList,
    KeySummary,
    Kind,
    KindSummary,
    _Chunk,
    LabelCounts,
    LabelSequence,
    LabelSummary,
    ListSummary,
    Moments,
    NearSummary,
    NumberSeries,
    PositionLog,
    ProbeFault,
    ProbeOptions,
    ProbeSummary,
    ProbeTask,
    RowColumn,
    Runs,
    ScalarColumn,
    ShapeSummary,
    ShapeTable,
    Summary,
    TextSummary,
    TwinSummary,
    ValueLog,
    ValueSummary,
)
