"""What a scan is asked for. Small, frozen and picklable: it travels to the workers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from .expectations import NOTHING_EXPECTED, Expectations
from .finding import Severity

Statistics = Literal["auto", "full", "sampled"]
Duplicates = Literal["exact", "approximate"]
NetName = Literal["auto", "softmax", "mlp", "conv", "lstm"]
LossName = Literal["auto", "softmax", "sigmoid", "squared"]
Precision = Literal["float32", "float16"]
PhaseName = Literal["train", "test"]

SMALL_SET_BYTES = 256 << 20
"""Sets up to this size are summed up in full, whatever it costs."""


TRACED = 1 << 20
"""Positions of one fault that are kept of a set that is to be rebuilt, where only the end of the scan can judge it."""


PROBE_BATCH = 64
"""Records in a batch of the probe where no batch size is given."""


@dataclass(frozen=True, slots=True)
class ProbeTask:
    """What the first samples of a source showed a network has to learn.

    Attributes
    ----------
    loss, outputs
        The loss and the number of outputs.
    known
        The number of classes was given: labels beyond it are faults. Otherwise they are taken modulo ``outputs``.
    labelled
        There are labels. Without, losses are those of class 0 or of zeros.
    network
        The network that the first samples go through, in words, and its layers: name, kind, shape, parameters.
    masked
        Values that leave the loss of this network finite although one input has them.
    spoilt
        Why every loss is spoilt by the preprocessing or the model alone; empty if none is.
    notes
        What else is to be said of the network.
    """

    loss: Literal["softmax", "sigmoid", "squared"] = "softmax"
    outputs: int = 10
    known: bool = False
    labelled: bool = False
    network: str = ""
    layers: tuple[tuple[str, str, tuple[int, ...], int], ...] = ()
    masked: tuple[str, ...] = ()
    spoilt: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """How samples are run through a network; the defaults are those of ``datascan probe``.

    Attributes
    ----------
    net, loss
        ``auto`` is chosen by the samples' shape and by the kind of label.
    outputs
        Outputs of the network; by default the number of classes, or what the first labels make likely.
    num_units
        Hidden units of ``mlp`` and ``lstm``.
    dtype
        ``float16`` computes as half precision does.
    scale, mean_values, mean_file, std
        The preprocessing of training: ``(value - mean) * scale / std``. ``mean_values`` and ``std`` are one number
        or one for each channel; ``mean_file`` is a ``.binaryproto`` or ``.npy``.
    iter_size
        Batches in an iteration of training (Caffe's ``iter_size``).
    train_steps, rate
        Steps of gradient descent to take on the first batches, and their learning rate.
    onnx, torch, caffe
        A model to run instead of a network of our own.
    weights, phase
        The ``.caffemodel`` for ``caffe``, and the phase of the net that is built.
    prototxt
        A net whose data layer gives what is not given otherwise: preprocessing, crop, batch size, classes.
    data_root
        A folder that files named by a net count from.
    notes
        What is to be said of where these options come from.
    task
        Settled by the scan, alike for all workers.
    """

    net: NetName = "auto"
    loss: LossName = "auto"
    outputs: int | None = None
    num_units: int | None = None
    dtype: Precision = "float32"
    scale: float = 1.0
    mean_values: tuple[float, ...] = ()
    mean_file: str | None = None
    std: tuple[float, ...] = ()
    iter_size: int = 1
    train_steps: int = 0
    rate: float = 0.01
    onnx: str | None = None
    torch: str | None = None
    caffe: str | None = None
    weights: str | None = None
    phase: PhaseName = "train"
    prototxt: str | None = None
    data_root: str | None = None
    notes: tuple[str, ...] = ()
    task: ProbeTask | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """What a rebuild needs to know of every record, beside what a report says.

    Attributes
    ----------
    form
        What records are told apart by: their bytes as they are ``stored``, or their numbers as a ``sample``, whatever
        the store.
    classes
        Contents and label of each record as well, to split a set by.
    """

    form: Literal["stored", "sample"] = "stored"
    classes: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a scan; the defaults are those of ``datascan check``.

    Attributes
    ----------
    select, ignore
        Rule names or families (the word before the first dash); empty ``select`` means every rule.
    severities
        Rule name to severity, in place of the rule's own.
    fail_on
        Findings at or above it make the verdict ``fail``; ``None`` means never.
    num_classes
        Labels must be below it; ``None`` where it is not known.
    ignore_labels
        Label values that training skips (Caffe's ``ignore_label``).
    charset
        The characters that text labels may hold; ``None`` where they are not known.
    batch_size
        Records a training batch takes in store order.
    crop
        Side of the training crop in pixels.
    extreme
        Largest magnitude that is not called extreme.
    max_pixels
        Images that declare more pixels are not decoded.
    max_findings
        Findings kept per rule; the rest is counted.
    limit
        Only the first so many records are read.
    sample
        Share of the records to look at, 0 < sample <= 1; every (1/sample)-th record in store order.
    duplicates
        ``approximate`` counts about how many contents occur once more, in a few kilobytes, and names no record.
    statistics
        ``full`` sums up every encoded image, which takes decoding its pixels at full size; ``sampled`` one in
        32; ``auto`` is ``full`` for small sets. It is about the statistics alone: faults are looked for in
        every image either way.
    probe
        Run the samples through a network as well; ``None`` does not.
    follow_external
        Read what an HDF5 file refers to in other files, as far as these are regular files in the folder tree around it.
    trace
        Keep the positions of all findings, and a fingerprint of every record, for a rebuild.
    expect
        What is known of the source: compared with what is found.
    keyed
        Keep a hash of every key beside that of the contents, for a comparison of two sets.
    near
        Keep what each picture looks like, to find those that look like an earlier one.
    remember
        Keep a fingerprint of every record, to be compared with an earlier or a later scan: for an audit.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    severities: Mapping[str, Severity] = field(default_factory=dict)
    fail_on: Severity | None = Severity.ERROR
    num_classes: int | None = None
    ignore_labels: tuple[int, ...] = ()
    charset: str | None = None
    batch_size: int | None = None
    crop: int | None = None
    extreme: float = 1e6
    max_pixels: int = 1 << 28
    max_findings: int = 1000
    limit: int | None = None
    sample: float | None = None
    statistics: Statistics = "auto"
    duplicates: Duplicates = "exact"
    probe: ProbeOptions | None = None
    follow_external: bool = False
    expect: Expectations = NOTHING_EXPECTED
    remember: bool = False
    trace: Trace | None = None
    keyed: bool = False
    near: bool = False

    @property
    def most_logged(self) -> int:
        """Positions that a summary keeps of each fault, for the findings of the whole set."""
        return max(self.max_findings, 1) if self.trace is None else max(self.max_findings, TRACED)

    @property
    def most_told(self) -> int:
        """Findings about the whole set that a rule tells one by one: a rebuild has to know each."""
        return self.max_findings if self.trace is None else sys.maxsize

    def settled(self, size_bytes: int) -> Options:
        """The options for a store of a size: what was left open is decided, alike for all workers."""
        if self.statistics != "auto":
            return self
        small = size_bytes <= SMALL_SET_BYTES or self.sample is not None
        return replace(self, statistics="full" if small else "sampled")


def merged(chosen: Options, fields: Mapping[str, Any]) -> Options:
    """What was chosen, with ``fields`` for what was not; those of the probe are settled by whoever gives them."""
    default = Options()
    free = {n: v for n, v in fields.items() if n == "probe" or getattr(chosen, n) == getattr(default, n)}
    return replace(chosen, **free)
