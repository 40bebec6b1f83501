"""Runs the samples of a batch through a network and says what was not finite, in which record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..options import Options, ProbeOptions, ProbeTask
from ..sample import ArrayBlock, ImageFacts, LabelBlock, ProbeFault, ProbeOutcome, Rows, SampleBatch
from ..stamp import touch, untouch
from .canary import Model
from .engine import UserModel
from .fitting import Fit, Unfit
from .inputs import Preparation, Suspect
from .labels import Targets, adapted, targets_of
from .models import Models
from .network import Passed
from .pictures import THUMBNAIL, resized, thumbnail
from .preprocessing import Preprocessing

CHUNK_VALUES = 1 << 17
"""Values that a layer holds at a time: samples go through in chunks that stay in the cache, and memory is bounded."""

LEAST_CHUNK, MOST_CHUNK = 16, 4096


@dataclass(frozen=True, slots=True)
class Block:
    """Samples of one shape. ``resampled`` are images that were brought to a size of their own."""

    name: str
    rows: Rows
    values: NDArray[Any]
    axes: str
    resampled: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self.values.shape[1:])


class Prober:
    """Probes batches. ``caffe`` is whether Caffe reads them: images are BGR then, and sizes are held to the mean's.

    Raises
    ------
    UsageError
        The mean file or the model can't be used.
    """

    def __init__(self, options: Options, caffe: bool, hdf5: bool) -> None:
        assert options.probe is not None
        self._options, self._caffe, self._hdf5 = options, caffe, hdf5
        self._probe: ProbeOptions = options.probe
        self._task = self._probe.task or ProbeTask()
        self._preprocessing = Preprocessing(self._probe)
        self._models = Models(self._probe)

    def probe(self, samples: SampleBatch) -> ProbeOutcome:
        """What running a batch gives; a preprocessing that spoils every input is not run."""
        outcome = ProbeOutcome()
        if self._task.spoilt:
            return outcome
        for block in self.blocks(samples, outcome.faults):
            self._probe_block(samples, block, outcome)
        order = {id(fault): number for number, fault in enumerate(outcome.faults)}
        outcome.faults.sort(key=lambda fault: (fault.row, order[id(fault)]))
        return outcome

    def blocks(self, samples: SampleBatch, faults: list[ProbeFault]) -> Iterator[Block]:
        """The samples of a batch by shape: its arrays, and its images decoded."""
        for block in samples.arrays:
            if not self._models.reads(block.name):
                continue
            if block.values.dtype.kind in "fiub" and len(block.rows):
                yield Block(block.name, block.rows, block.values, block.axes)
            elif block.values.dtype.kind == "c":
                yield Block(block.name, block.rows, _pairs(block), "")
        yield from self._pictures(samples, faults)

    def model_for(self, block: Block, labels: NDArray[Any] | None) -> tuple[Fit, Model, ProbeTask]:
        """How a block goes into which network.

        Raises
        ------
        Unfit
            It goes into none.
        """
        crop = None if block.resampled else self._options.crop
        task = adapted(self._task, labels)
        fitted = self._models.fit(block.shape, block.axes, crop)
        if labels is not None:
            self._models.hold_labels(labels, task)
        model = self._models.get(fitted, task)
        if task.loss == "softmax" and self._models.own is not None:  # it says how many classes there are
            task = replace(task, outputs=model.outputs, known=True)
        return fitted, model, task

    def labels_of(self, samples: SampleBatch, block: Block) -> tuple[NDArray[Any] | None, NDArray[np.bool_]]:
        """The labels of a block's samples, and which of them have one; ``None`` where the batch has no labels."""
        return labels_of(self.label_block(samples), block.rows, len(samples))

    def label_block(self, samples: SampleBatch) -> LabelBlock | None:
        """The labels that are trained on: those that the user's net names, else the first."""
        return next((block for block in samples.labels if self._models.reads_label(block.name)), None)

    @property
    def own(self) -> UserModel | None:
        """The user's model."""
        return self._models.own

    def describe(self, fitted: Fit) -> str:
        """The network in words."""
        return self._models.describe(fitted)

    def prepare(self, block: Block, fitted: Fit) -> Preparation:
        """The block's samples, ready to be taken chunk by chunk."""
        full, taken = self._preprocessing.constants(fitted, block.resampled)
        return Preparation(block.values, fitted, full, taken, self._probe.dtype == "float16")

    def _probe_block(self, samples: SampleBatch, block: Block, outcome: ProbeOutcome) -> None:
        labels, present = self.labels_of(samples, block)
        try:
            fitted, model, task = self.model_for(block, labels)
            prepared = self.prepare(block, fitted)
        except Unfit as exc:
            outcome.faults += [
                ProbeFault(row, "probe-failed", str(exc), dataset=self._dataset(block)) for row in block.rows.tolist()
            ]
            return
        targets = targets_of(labels, present, task, self._options.ignore_labels)
        step = min(max(CHUNK_VALUES // model.widest, LEAST_CHUNK), MOST_CHUNK)
        losses = np.empty(len(block.rows))
        for start in range(0, len(block.rows), step):
            part = prepared.part(start, start + step)
            stop = start + part.inputs.shape[-1]
            passed = model.forward(part.inputs, targets.part(start, stop))
            losses[start:stop] = passed.losses
            losses[start:stop][targets.spoilt[start:stop]] = np.nan
            for place in _in_doubt(passed, part.suspects, losses[start:stop]):
                look = _Look(block, fitted, start + place, part.suspects.get(place), float(losses[start + place]))
                fault = look.fault(passed, place, bool(targets.spoilt[start + place]), self._dataset(block))
                outcome.faults.append(fault)
        losses[targets.skipped] = 0.0
        self._complain(block, targets, outcome)
        outcome.rows.append(block.rows)
        outcome.losses.append(losses)
        name = self._models.describe(fitted)
        outcome.networks[name] = outcome.networks.get(name, 0) + len(block.rows)

    def _complain(self, block: Block, targets: Targets, outcome: ProbeOutcome) -> None:
        outcome.faults += [
            ProbeFault(int(block.rows[place]), "probe-failed", complaint, dataset=self._dataset(block))
            for place, complaint in targets.complaints.items()
        ]

    def _dataset(self, block: Block) -> str | None:
        return block.name if self._hdf5 else None

    # ---- encoded images ----

    def _pictures(self, samples: SampleBatch, faults: list[ProbeFault]) -> Iterator[Block]:
        """Images as arrays of one size; those that are not whole are left to the rules that say so."""
        contents = _contents(samples)
        shapes: dict[tuple[str, tuple[int, ...]], list[tuple[int, NDArray[np.uint8]]]] = {}
        for image in samples.images:
            if image.facts.sums is None:
                continue
            touch(image.row)
            try:
                pixels = self._pixels(image.facts, contents.get(image.row, memoryview(b"")))
            except Unfit as exc:
                faults.append(ProbeFault(image.row, "probe-failed", str(exc), dataset=image.dataset))
                continue
            shapes.setdefault((image.dataset or "", pixels.shape), []).append((image.row, pixels))
        untouch()
        for (dataset, _), found in shapes.items():
            rows = np.array([row for row, _ in found], np.int64)
            yield Block(dataset, rows, np.stack([pixels for _, pixels in found]), "HWC", resampled=True)

    def _pixels(self, facts: ImageFacts, data: memoryview) -> NDArray[np.uint8]:
        crop = self._options.crop
        if self._caffe:
            self._preprocessing.hold(facts.height, facts.width)
        wanted = self._models.image_size
        if wanted is not None:
            return resized(data, facts, *wanted, crop, self._caffe)
        return thumbnail(facts, THUMBNAIL, crop, self._caffe)


def labels_of(block: LabelBlock | None, rows: Rows, records: int) -> tuple[NDArray[Any] | None, NDArray[np.bool_]]:
    """The labels of some rows, and which of them have one; ``None`` where a batch of so many records has no labels."""
    if block is None:
        return None, np.zeros(len(rows), np.bool_)
    place = np.full(records, -1, np.int64)
    place[block.rows] = np.arange(len(block.rows))
    places = place[rows]
    if not len(block.rows):
        return np.zeros((len(rows), *block.values.shape[1:]), block.values.dtype), places >= 0
    return block.values[np.maximum(places, 0)], places >= 0


def _in_doubt(passed: Passed, suspects: dict[int, Suspect], losses: NDArray[np.float64]) -> list[int]:
    """Places of samples that there is something to say of."""
    doubtful = ~np.isfinite(losses)
    for seen in passed.seen:
        doubtful |= ~seen.sound
    places = set(np.flatnonzero(doubtful).tolist())
    return sorted(places | {place for place, suspect in suspects.items() if not suspect.sound})


@dataclass(frozen=True, slots=True)
class _Look:
    """One sample that is in doubt."""

    block: Block
    fitted: Fit
    place: int
    suspect: Suspect | None
    loss: float

    def fault(self, passed: Passed, place: int, label_spoilt: bool, dataset: str | None) -> ProbeFault:
        """What is to be said of it: the first place where it shows."""
        finite = self.suspect is None or self.suspect.finite
        overflowed = [seen.layer for seen in passed.seen if not seen.finite[place]]
        if label_spoilt and finite and not overflowed:
            layer, message = "label", f"the label is not finite, and so the loss: {self.loss:g}"
        elif not finite:
            layer, message = "input", f"{self._input().rstrip(',')}: {self._outcome()}"
        elif overflowed:
            layer, message = overflowed[0], f"{self._input()} overflows in {overflowed[0]}: {self._outcome()}"
        elif not np.isfinite(self.loss):
            layer, message = "loss", f"{self._input()} gives a loss of {self.loss:g}"
        else:
            unsound = next((seen.layer for seen in passed.seen if not seen.sound[place]), "input")
            return self._made(unsound, self._after_step(), dataset, after_step=True)
        return self._made(layer, message, dataset, input_finite=finite)

    def _made(
        self, layer: str, message: str, dataset: str | None, *, input_finite: bool = True, after_step: bool = False
    ) -> ProbeFault:
        return ProbeFault(
            int(self.block.rows[self.place]),
            "probe-non-finite",
            message,
            layer,
            input_finite,
            self.loss,
            after_step,
            dataset,
            self._element(),
        )

    def _element(self) -> tuple[int, ...] | None:
        if self.suspect is None or self.block.resampled:
            return None
        return self.fitted.element(self.suspect.place, self.block.shape)

    def _input(self) -> str:
        """The value that is to blame, as a subject of a sentence."""
        suspect = self.suspect
        if suspect is None:
            return "a finite input"
        where = "" if self._element() is None else f" at {list(self._element() or ())}"
        if suspect.finite or not np.isfinite(suspect.value):
            return f"{suspect.value:g}{where}"
        return f"{suspect.value:g}{where}, which becomes {suspect.prepared:g} as input,"

    def _outcome(self) -> str:
        if np.isfinite(self.loss):
            return f"the loss stays at {self.loss:.6g}, which hides it"
        return f"the loss is {self.loss:g}"

    def _after_step(self) -> str:
        return (
            f"{self._input()} gives a loss of {self.loss:.6g}, and one step of gradient descent adds the square of it, "
            "which is not finite"
        )


def _contents(samples: SampleBatch) -> dict[int, memoryview]:
    """The bytes of encoded images by row."""
    if not samples.images or samples.contents is None or samples.content_rows is None:
        return {}
    return dict(zip(samples.content_rows.tolist(), samples.contents, strict=True))


def _pairs(block: ArrayBlock) -> NDArray[Any]:
    """Complex numbers as pairs of real ones."""
    return np.ascontiguousarray(block.values)[..., None].view(block.values.real.dtype)


_last: list[tuple[Options, bool, bool, Prober]] = []


def prober_for(options: Options, caffe: bool, hdf5: bool) -> Prober:
    """The prober for these options; the one asked for last is not made again for the next partition."""
    if not _last or _last[0][:3] != (options, caffe, hdf5):
        _last[:] = [(options, caffe, hdf5, Prober(options, caffe, hdf5))]
    return _last[0][3]
