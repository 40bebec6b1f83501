"""What was not looked at for each cause: only a cause of which everything was can be ruled out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .doctor_case import Case
from .doctor_signs import Symptoms
from .net import build
from .net_graph import join


def solver_gaps(case: Case) -> list[str]:
    """A solver, whole."""
    if case.solver is None:
        return ["no solver was given"]
    return ["the solver has a syntax error"] if case.solver.message.fault is not None else []


def net_gaps(case: Case) -> list[str]:
    """A net, whole."""
    if case.net is None:
        return ["no net was given"]
    return ["the net has a syntax error"] if case.net.message.fault is not None else []


def log_gaps(case: Case, symptoms: Symptoms) -> list[str]:
    """A log of a run."""
    if case.log_path is None:
        return ["no log was given"]
    if case.log is None or not symptoms.seen:
        return ["the log has no training run"]
    if symptoms.run is not None and not symptoms.run.begun and symptoms.run.framework == "caffe":
        return ["the log begins in the middle of a run"]
    return ["the log could not be read to its end"] if case.log.damage is not None else []


def data_gaps(case: Case) -> list[str]:
    """All sources that training reads."""
    gaps = [f"{one.source} is not at hand" for one in case.missing if "TRAIN" in one.phases or not one.phases]
    gaps += [
        f"{one.report.source.path}: {one.report.error or 'not all of it was looked at'}"
        for one in case.scanned
        if one.trains and not one.looked_at
    ]
    if not gaps and not any(one.trains for one in case.scanned):
        gaps = ["no data were scanned"]
    return gaps


def explosion_gaps(case: Case, symptoms: Symptoms) -> list[str]:
    """The course of the loss, and what scales the gradients."""
    return [*log_gaps(case, symptoms), *solver_gaps(case), *net_gaps(case)]


def rate_gaps(case: Case, symptoms: Symptoms) -> list[str]:
    """The solver's policy; the log's rates alone have holes."""
    return solver_gaps(case)


def loss_gaps(case: Case, symptoms: Symptoms) -> list[str]:
    """The net, the labels, and files of weights for classes."""
    gaps = [*net_gaps(case), *data_gaps(case)]
    if case.layers is not None:
        for layer in case.layers.layers:
            source = layer.param("infogain_loss_param").string("source")
            if source and not any((folder / source).exists() for folder in case.folders):
                gaps.append(f"{source} is not at hand")
    return gaps


def input_gaps(case: Case, symptoms: Symptoms) -> list[str]:
    """The sources, and the mean files."""
    gaps = data_gaps(case)
    for scanned in case.scanned:
        mean = scanned.reader.mean_file if scanned.reader is not None else None
        if mean and not any((folder / mean).exists() for folder in case.folders):
            gaps.append(f"{mean} is not at hand")
    return gaps


def pooling_gaps(case: Case, symptoms: Symptoms) -> list[str]:
    """The size of what every pooling layer is fed."""
    gaps = net_gaps(case)
    net = case.layers
    if gaps or net is None:
        return gaps
    for state in net.states():
        for node in build(net, join(net, state), case.facts).nodes:
            if node.layer.type != "Pooling" or node.layer.param("pooling_param").boolean("global_pooling"):
                continue
            shape = node.bottoms[0].shape if node.bottoms else None
            if shape is None or None in shape[2:]:
                gaps.append(f"the size of what layer {node.layer.name} is fed is not known")
    return list(dict.fromkeys(gaps))


def parameter_gaps(case: Case, symptoms: Symptoms) -> list[str]:
    """The net."""
    return net_gaps(case)


def weight_gaps(case: Case, symptoms: Symptoms) -> list[str]:
    """The files that the run began with; a log is needed, since the command line names them."""
    gaps = [f"{name} is not at hand" for name in case.lost]
    gaps += [f"{one.path}: {one.unread}" for one in case.weights if one.unread is not None]
    run = symptoms.run
    if (
        run is not None
        and run.loss.first is not None
        and run.begun
        and symptoms.frozen is None
        and not symptoms.at_once
    ):
        return []  # the first loss is computed from these weights, and it is finite
    return gaps or ([] if case.weights else log_gaps(case, symptoms))


def abort_gaps(case: Case, symptoms: Symptoms) -> list[str]:
    """The end of the log."""
    return log_gaps(case, symptoms)


GAPS: Mapping[str, Callable[[Case, Symptoms], list[str]]] = {
    "gradient-explosion": explosion_gaps,
    "learning-rate": rate_gaps,
    "loss-function": loss_gaps,
    "input-data": input_gaps,
    "pooling": pooling_gaps,
    "layer-parameters": parameter_gaps,
    "initial-weights": weight_gaps,
    "aborted": abort_gaps,
}
