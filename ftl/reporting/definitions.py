"""How every number of the report comes about, a few sentences each."""

_TEXT = """\
A **target** did not take part in the federation whose model it receives. **Before** is its own local model, **after**
the same node with the transferred model, both on the same test rows.

The arms of a target: **zero_shot** takes the global model as it is, **transfer** fine-tunes its decoder with the
encoder frozen, **full_fine_tune** fine-tunes all of it, **single_source** starts from one random node's model.

**P, R, TNR, F1** are computed node by node (positive class: anomaly) and averaged over nodes, draws and seeds. Nodes
without a test anomaly have no P, R or F1; they are left out there, and kept for TNR, FPR and the alarm rate.

**F1 (AE)** and **F1 (FL)** are the participants' F1 with their own local model and with the global model as it is.

**ΔF1** of a node is its mean over draws and seeds of F1 after - F1 before (same seed); the table gives the mean over
target nodes with a 95 % bootstrap interval over nodes (over racks where racks are known). `*`: p (Holm) < 0.05. Under
random_n a node counts if it was a target in at least one draw: more nodes than one draw has targets.

**local_long** is the control that a gain must also beat: the node's own model, trained for as many gradient steps as
federation and fine-tuning take together. A gain is claimed only where both intervals lie above 0; **no difference**
says that none was shown, not that there is none.

**p (Holm)** is the t-test of ΔF1 against 0 over nodes, corrected for all rows of the protocol that claim a gain; in the
two paired comparisons, for the rows of that comparison. **p (TOST)** is the test of equivalence: below 0.05, the mean
difference lies within the margin.

**d_z** is the mean of ΔF1 over its standard deviation over nodes (ddof 1), **d_av** that mean over the average of the
standard deviations of F1 before and after, **Hedges' g** is d_z x (1 - 3 / (4 df - 1)) with df = n - 1. The unit is the
node, n of them. d_z grows with the correlation of before and after: do not hold it beside a d of independent groups. In
Tables 2 to 4, **d** is d_z.

**Harmed**: nodes whose ΔF1 lies below 0. **Cell**: one dataset, paradigm, policy and N.

**Headline cohort**: policy top_n, else the first, and the middle one of the N that were run, the lower of two.

**Common targets** of two policies trained neither of the two models that they receive; every draw of one meets every
draw of the other with the same seed.

**N** is the number of participants. Under clustered, these train one model per cluster together; under all, two halves
of the fleet serve each other, N is the size of the smaller one, and the policy is compared with every N of the other.

**centralised** pools the raw rows of all nodes: an upper reference that federation is meant to avoid.

**AUROC** and **AUPRC** (average precision) need no threshold. **FPR** is the share of normal test rows that raise an
alarm. "of local there" is the local model's value on the same nodes: cohorts leave different nodes as targets, so rows
of different cohorts are not on the same nodes.

**CPU time** of a node is its stack's time, shared out by gradient steps. A **federated round's** is that of the stage,
over all rounds of all participants (pooled training included, where the arm centralised ran). **Bytes** are what a node
would send and receive if it trained on its own machine; in units of 1000 (1 MB = 1,000,000 B). Under top_n every node
sends 8 B more, by which it is ranked.

**Break-even**: the smallest fleet, participants counted, that costs less with federation (all rounds of all
participants, then fine-tuning on every target) than with training on every node. The unit is CPU time as measured, and
energy where it was; without `costs.csv` it is gradient steps. A cohort's CPU time is its share of the stage by gradient
steps. A policy that ranks local models has trained every node locally first, which counts as a cost of federation.

"-" means undefined or not computed.
"""
_COLDSTART = """\
A node that joins has the first hours of its own history and no more; it took no part in the cohort whose model and
statistics it receives. It is judged on its whole test part, whatever its history.

**Usable**: mean F1 over nodes is at least `coldstart.share_of_full` (by default 90 %) of what the local model has with
the whole history, and the mean false-positive rate is at most `coldstart.max_fpr` (6 %), at this length of history and
at every longer one that was tried. What lies between two lengths was not tried.

**transfer_policy** puts the scores of global and own detectors together, as the length of the history and the
divergence of the global model say; it looks at no label. **local_fleet** and **local_rehearsed** train a model of their
own and share statistics alone (scale, residual variances, thresholds); **federated_pca** shares sums in one round;
**local** shares nothing.

Differences are paired over nodes after seeds were averaged; brackets are 95 % bootstrap intervals over nodes (over
racks where racks are known), and p (Holm) is of Wilcoxon's signed-rank test, corrected for all arms and lengths of
history whose metric is held against the same arm.
"""


def _paragraphs(text: str) -> tuple[str, ...]:
    return tuple(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


DEFINITIONS, COLDSTART_DEFINITIONS = _paragraphs(_TEXT), _paragraphs(_COLDSTART)
