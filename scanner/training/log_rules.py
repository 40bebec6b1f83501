"""Rules about training logs; `log_check` finds what they look for."""

from __future__ import annotations

from ..finding import Severity
from .rules import FileRule


class LogUnreadable(FileRule):
    """
    ## What it does
    Checks that a log can be read to its end.

    ## Why is this bad?
    A compressed log that is cut or damaged hides what came after; nothing can be said about that part.

    ## How to fix
    Give the whole log; of a compressed one that was cut, the part before the cut has been judged.
    """

    name = "log-unreadable"
    severity = Severity.ERROR


class LogNotRecognised(FileRule):
    """
    ## What it does
    Checks that a log holds something that a training program wrote: losses, rates, or why it stopped.

    ## Why is this bad?
    Nothing was judged. A file that no line was understood of must not count as clean.

    ## How to fix
    Give the log of the training: Caffe writes it to standard error (`caffe train ... 2> train.log`).
    """

    name = "log-not-recognised"
    severity = Severity.WARNING


class LogLossNan(FileRule):
    """
    ## What it does
    Finds the first loss that is NaN, the iteration, and what it looked like before.

    ## Why is this bad?
    From there on every weight is NaN; nothing that was trained afterwards is of use.

    ## How to fix
    Go back to the last snapshot before it and remove the cause: the message says whether the loss grew before
    (gradients exploded), came at once (data or a layer), or followed a bad learning rate.
    """

    name = "log-loss-nan"
    severity = Severity.ERROR


class LogLossInf(FileRule):
    """
    ## What it does
    Finds the first loss that is infinite.

    ## Why is this bad?
    A number was too large for float32, or something was divided by zero; the next iteration is NaN.

    ## How to fix
    As for `log-loss-nan`. A loss that is infinite at iteration 0 comes from the loss layer or the data.
    """

    name = "log-loss-inf"
    severity = Severity.ERROR


class LogOutputNonFinite(FileRule):
    """
    ## What it does
    Finds an output of the training net that is NaN or infinite although the loss is finite.

    ## Why is this bad?
    A branch of the net has failed; the loss does not show it.

    ## How to fix
    Look at the layers that lead to this output.
    """

    name = "log-output-non-finite"
    severity = Severity.WARNING


class LogTestNonFinite(FileRule):
    """
    ## What it does
    Finds the first output of a test net that is NaN or infinite.

    ## Why is this bad?
    Where the training loss is finite, the test data hold something that the training data don't, or the test net is
    another one.

    ## How to fix
    Scan the source of the test net; compare the layers of both nets.
    """

    name = "log-test-non-finite"
    severity = Severity.ERROR


class LogLossExplodes(FileRule):
    """
    ## What it does
    Finds a loss that grows and stays far above where it began.

    ## Why is this bad?
    The updates make the net worse: gradients explode. A softmax loss is worse than guessing when it is above the
    logarithm of the number of classes.

    ## How to fix
    Divide `base_lr` by 10 until the loss falls; add `clip_gradients: 10`; scale the input (`scale: 0.00390625`).
    """

    name = "log-loss-explodes"
    severity = Severity.ERROR


class LogLossPlateau(FileRule):
    """
    ## What it does
    Finds softmax losses that are a whole number of examples times 87.3365 divided by the batch.

    ## Why is this bad?
    87.3365 is the most that an example can cost (the logarithm of the least float32). Such a loss says that every
    example is either surely right or surely wrong: the scores have become enormous. NaN is often next.

    ## How to fix
    After the start: a lower `base_lr`. At the first iteration: the input is not scaled, or a pooling layer gives
    -FLT_MAX.
    """

    name = "log-loss-plateau"
    severity = Severity.WARNING


class LogLossFrozen(FileRule):
    """
    ## What it does
    Finds a loss that stays at the logarithm of the number of classes, or at one value.

    ## Why is this bad?
    The net gives the same answer to everything. Dead units do that, and so do NaN values which MAX pooling and ReLU
    have hidden: the loss looks finite and the weights are NaN.

    ## How to fix
    Run some iterations with `debug_info: true` and look for the first layer that is nan or 0; scan the data.
    """

    name = "log-loss-frozen"
    severity = Severity.WARNING


class LogLossRepeats(FileRule):
    """
    ## What it does
    Finds losses that repeat exactly.

    ## Why is this bad?
    Caffe reads the same batches in the same order; when their losses come again to the last digit, no weight has
    changed.

    ## How to fix
    Look for a rate of 0, `lr_mult: 0`, `clip_gradients: 0`, or a solver whose update is always 0.
    """

    name = "log-loss-repeats"
    severity = Severity.WARNING


class LogLossZero(FileRule):
    """
    ## What it does
    Finds a loss of zero.

    ## Why is this bad?
    Where every label is the same, or every label is ignored, there is nothing to learn and the loss is soon 0.

    ## How to fix
    Look at the labels of the data set (`datascan check` counts them).
    """

    name = "log-loss-zero"
    severity = Severity.WARNING


class LogLossNegative(FileRule):
    """
    ## What it does
    Finds negative losses.

    ## Why is this bad?
    The usual losses can't be negative. They are when they get what they are not made for: scores where probabilities
    belong, targets outside 0..1, a negative loss weight. Such a loss has no least value and grows until it overflows.

    ## How to fix
    Feed MultinomialLogisticLoss and (in old versions) InfogainLoss from a Softmax; scale targets to 0..1.
    """

    name = "log-loss-negative"
    severity = Severity.WARNING


class LogLossHuge(FileRule):
    """
    ## What it does
    Finds losses above a million.

    ## Why is this bad?
    Gradients are as large, and float32 has seven digits. Mostly the input or the targets are not scaled.

    ## How to fix
    Scale the input and the targets; lower the loss weight.
    """

    name = "log-loss-huge"
    severity = Severity.WARNING


class LogAccuracyOfNan(FileRule):
    """
    ## What it does
    Finds an accuracy of 1 while the loss is NaN.

    ## Why is this bad?
    Caffe counts the classes that score higher than the true one; no comparison with NaN succeeds, so everything counts
    as right. The accuracy means nothing.

    ## How to fix
    Remove the cause of the NaN loss.
    """

    name = "log-accuracy-of-nan"
    severity = Severity.WARNING


class LogRateNonFinite(FileRule):
    """
    ## What it does
    Finds the first learning rate that is NaN or infinite.

    ## Why is this bad?
    The next update makes every weight NaN; it shows in the loss of the iteration after.

    ## How to fix
    Look at the policy's parameters: `poly` needs `max_iter` and must not run beyond it; `inv` needs a `gamma` not
    below 0.
    """

    name = "log-rate-non-finite"
    severity = Severity.ERROR


class LogRateNegative(FileRule):
    """
    ## What it does
    Finds the first learning rate below zero.

    ## Why is this bad?
    The net is trained to be as bad as it can.

    ## How to fix
    `base_lr` above 0; `gamma` not below 0; stop `poly` at `max_iter`.
    """

    name = "log-rate-negative"
    severity = Severity.ERROR


class LogRateZero(FileRule):
    """
    ## What it does
    Finds a learning rate of zero while training goes on.

    ## Why is this bad?
    Nothing is learned from there on.

    ## How to fix
    Set `base_lr`, or the `gamma` that the policy needs.
    """

    name = "log-rate-zero"
    severity = Severity.WARNING


class LogActivationNonFinite(FileRule):
    """
    ## What it does
    Finds, where the log has `debug_info`, the first layer whose values, weights or gradients are not finite.

    ## Why is this bad?
    This is the layer to look at. The loss may not show it: MAX pooling and ReLU hide NaN.

    ## How to fix
    If it is the data layer, scan the data. If it is another, look at its parameters and at what feeds it.
    """

    name = "log-activation-non-finite"
    severity = Severity.ERROR


class LogActivationHuge(FileRule):
    """
    ## What it does
    Finds, where the log has `debug_info`, the first layer whose mean magnitude is above 1e10.

    ## Why is this bad?
    A few products more and float32 overflows.

    ## How to fix
    Scale the input, lower `base_lr`, clip the gradients.
    """

    name = "log-activation-huge"
    severity = Severity.WARNING


class LogGradientNonFinite(FileRule):
    """
    ## What it does
    Finds a gradient norm that becomes NaN or infinite and stays so, although the loss is finite.

    ## Why is this bad?
    The updates are lost or have made the weights NaN; some programs then print a loss of 0.

    ## How to fix
    Look at the batches just before; lower the rate; in half precision, use bfloat16 or loss scaling.
    """

    name = "log-gradient-non-finite"
    severity = Severity.ERROR


class LogCheckFailed(FileRule):
    """
    ## What it does
    Quotes the check that failed when Caffe stopped by itself.

    ## Why is this bad?
    Training has ended; the reason stands in the message.

    ## How to fix
    What the reason names. A failed check of the data transformer is a record: scan the source.
    """

    name = "log-check-failed"
    severity = Severity.ERROR


class LogCrashed(FileRule):
    """
    ## What it does
    Quotes the signal, exception or allocator message that ended the program.

    ## Why is this bad?
    Training has ended without a reason of its own. SIGBUS: a data file is shorter than its pages. SIGSEGV in a loss
    layer: a label outside the classes. SIGFPE: a step size of 0. Killed: no memory.

    ## How to fix
    Scan the data; look at the functions named.
    """

    name = "log-crashed"
    severity = Severity.ERROR


class LogUndecodable(FileRule):
    """
    ## What it does
    Finds messages of image decoders: a record that could not be decoded, a JPEG that ends early.

    ## Why is this bad?
    The picture that was trained on is grey in part, or missing.

    ## How to fix
    Scan the source: `datascan check` names the records.
    """

    name = "log-undecodable"
    severity = Severity.WARNING


class LogCutOff(FileRule):
    """
    ## What it does
    Says that a log ends without the program having ended.

    ## Why is this bad?
    It may be running still. If not, it was killed or hangs: after "Waiting for data" the data thread gives nothing
    (`prefetch: 0` waits for ever).

    ## How to fix
    Look whether the program is running, and what the machine's own log says.
    """

    name = "log-cut-off"
    severity = Severity.INFO


class LogNoIterations(FileRule):
    """
    ## What it does
    Says that training ended properly without a single update.

    ## Why is this bad?
    `max_iter` is absent, 0, or not above the iteration of the restored snapshot.

    ## How to fix
    Set `max_iter`.
    """

    name = "log-no-iterations"
    severity = Severity.WARNING


LOG_RULES: tuple[type[FileRule], ...] = (
    LogUnreadable,
    LogNotRecognised,
    LogLossNan,
    LogLossInf,
    LogOutputNonFinite,
    LogTestNonFinite,
    LogLossExplodes,
    LogLossPlateau,
    LogLossFrozen,
    LogLossRepeats,
    LogLossZero,
    LogLossNegative,
    LogLossHuge,
    LogAccuracyOfNan,
    LogRateNonFinite,
    LogRateNegative,
    LogRateZero,
    LogActivationNonFinite,
    LogActivationHuge,
    LogGradientNonFinite,
    LogCheckFailed,
    LogCrashed,
    LogUndecodable,
    LogCutOff,
    LogNoIterations,
)
"""Every rule about logs."""
