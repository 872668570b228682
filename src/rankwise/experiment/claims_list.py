"""What the five documents claim that can be checked, in our own short words, and how each is.

A cell is named as `claims_cells` makes it. Losses are in bits, lower is better; scores are the rows' own metric.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

from rankwise.doctrine.best_practices import BEST_PRACTICES
from rankwise.doctrine.configuration_guide import CONFIGURATION_GUIDE
from rankwise.doctrine.honest_choice import HONEST_CHOICE
from rankwise.doctrine.without_regret import WITHOUT_REGRET
from rankwise.doctrine.working_notes import WORKING_NOTES

Measure = Literal["loss", "score", "forgetting", "time saved"]
"""`loss` on held-out rows; `score` on them; `forgetting`: loss on rows of other domains; `time saved`: share of the
other's time for as many rows."""
CLOSE = 0.02
"""As good as, or hardly better: within this share of the other's loss. A convention of ours."""


@dataclass(frozen=True)
class Computed:
    """By arithmetic, from the base's shapes and the plan's own counts."""

    function: str
    """Of `arithmetic`."""


@dataclass(frozen=True)
class Compared:
    """By training: the sum of weight x cell lies between two bounds."""

    measure: Measure
    terms: tuple[tuple[float, str], ...]
    """Weight and cell. Of losses too, the sum is above 0 where the claim's favourite is better."""
    low: float = 0.0
    high: float = inf
    relative: bool = False
    """The bounds are shares of the last term's value."""


@dataclass(frozen=True)
class Open:
    """Undecided here."""

    needs: str
    """What would decide it."""


@dataclass(frozen=True)
class Claim:
    document: str
    section: str
    says: str
    test: Computed | Compared | Open


def _better(first: str, second: str, measure: Measure = "loss", low: float = 0.0, high: float = inf) -> Compared:
    if measure == "score":
        return Compared(measure, ((1.0, first), (-1.0, second)), low, high)
    return Compared(measure, ((-1.0, first), (1.0, second)), low, high)


def _close(first: str, second: str) -> Compared:
    """As good as the other, within CLOSE of its loss."""
    return Compared("loss", ((-1.0, first), (1.0, second)), -CLOSE, CLOSE, relative=True)


def _hardly(first: str, second: str) -> Compared:
    """Better, but by at most CLOSE of the other's loss."""
    return Compared("loss", ((-1.0, first), (1.0, second)), 0.0, CLOSE, relative=True)


def _wider_gap(first: str) -> Compared:
    """Its loss minus full fine-tuning's is larger at the larger batch than at the plan's."""
    return Compared("loss", ((1.0, f"{first}, batch x4"), (-1.0, "full, batch x4"), (-1.0, first), (1.0, "full")))


def _of(document: str, *entries: tuple[str, str, Computed | Compared | Open]) -> tuple[Claim, ...]:
    return tuple(Claim(document, *entry) for entry in entries)


_REGRET = "`rankwise experiment regret` on this recipe: it sweeps rates for ranks 1 to 64 and for full fine-tuning"
_SIZES = "the same experiment on bases of several sizes"
_REWARDS = "a recipe with objective: grpo and a reward; these rows have answers"

CLAIMS = (
    *_of(
        BEST_PRACTICES.document,
        ("Core Principles 1", "alpha = 2r learns more than alpha = r", _better("Default", "alpha = r")),
        ("Core Principles 1", "alpha = 2r is better than 4r, which may be unstable", _better("Default", "alpha = 4r")),
        ("Core Principles 1", "alpha under r is too low", _better("Default", "alpha = r/2")),
        (
            "Core Principles 2",
            "LoRA learns better at ten times full fine-tuning's rate than at that rate",
            _better("Default", "Default, a tenth of the rate"),
        ),
        ("Core Principles 2", "2e-4 is the rate for every domain", Open(_REGRET)),
        (
            "Core Principles 3",
            "all attention and MLP layers are better than attention alone",
            _better("All projections", "Default"),
        ),
        ("Benefits of These Practices", "0.1 to 1% of the parameters are trained", Computed("share_of_all_layers")),
        ("Key Findings", "LoRA works well for reinforcement learning", Open(_REWARDS)),
    ),
    *_of(
        WITHOUT_REGRET.document,
        ("Executive Summary", "done right, LoRA is as good as full fine-tuning", _close("All projections", "full")),
        ("Executive Summary", "LoRA takes about two thirds of the compute", Computed("compute_of_lora")),
        (
            "Which Layers to Apply LoRA",
            "the MLP alone is better than attention alone at equal parameters",
            _better("MLP only", "Default"),
        ),
        (
            "Which Layers to Apply LoRA",
            "MLP and attention together are better than the MLP alone",
            _better("All projections", "MLP only"),
        ),
        (
            "Which Layers to Apply LoRA",
            "adapting the unembedding too is best",
            _better("Attention + MLP + head", "All projections"),
        ),
        ("Learning Rate", "the best rate of LoRA is ten times that of full fine-tuning, at all ranks", Open(_REGRET)),
        ("Learning Rate", "full fine-tuning's best rate is about (2000 / hidden) x 1e-4", Open(_REGRET)),
        ("Learning Rate", "the ratio is the same at all model sizes", Open(_SIZES)),
        (
            "Capacity Requirements",
            "two bits a parameter must hold the answers' tokens at a bit each",
            Computed("capacity_of_the_plan"),
        ),
        ("Batch Size Effects", "at large batches LoRA falls behind full fine-tuning", _wider_gap("Default")),
        (
            "Batch Size Effects",
            "a higher rank does not mend that",
            Compared("loss", ((1.0, "High Rank (r=32), batch x4"), (-1.0, "full, batch x4"))),
        ),
        ("Default Configuration", "dropout is not needed", _close("dropout 0", "Default")),
        ("Default Configuration", "B must start at zero", _better("Default", "B not at zero")),
        (
            "Rank Selection by Model Size",
            "larger bases need higher ranks, and reinforcement learning a quarter of them",
            Open(_SIZES),
        ),
        (
            "MoE Model Handling",
            "experts do as well with the rank divided by the active ones",
            Open("a base with experts"),
        ),
        ("Quick Formula", "a rank has about hidden x 2 x 10 x layers parameters", Computed("quick_formula")),
        ("Research Citations 4", "DoRA is slightly better in some cases", _better("DoRA", "Default")),
    ),
    *_of(
        HONEST_CHOICE.document,
        ("Why LoRA/PEFT is Correct (Real Reasons) 2", "LoRA trains 0.12% of the parameters", Computed("share_of_12")),
        (
            "Why LoRA/PEFT is Correct (Real Reasons) 2",
            "training is 98% faster than full fine-tuning",
            Compared("time saved", ((1.0, "Default"), (-1.0, "full")), 0.97, 0.99),
        ),
        ("Why LoRA/PEFT is Correct (Real Reasons) 2", "with the same performance", _close("Default", "full")),
        (
            "Why LoRA/PEFT is Correct (Real Reasons) 4",
            "training on labels is better than optimising the prompt (GEPA)",
            Open("a prompt optimiser; `rankwise evaluate` holds the adapter against the base with examples"),
        ),
        ("Should You Use Full Fine-Tuning Instead?", "LoRA needs less memory", Computed("memory_of_lora")),
        (
            "Should You Use Full Fine-Tuning Instead?",
            "full fine-tuning forgets more",
            Compared("forgetting", ((-1.0, "Default"), (1.0, "full"))),
        ),
        (
            "Should You Use Full Fine-Tuning Instead?",
            "for supervised rows LoRA is better than full fine-tuning",
            _better("Default", "full"),
        ),
        (
            "LoRA vs AdaLoRA vs Prefix Tuning",
            "AdaLoRA is overkill: LoRA does better",
            _better("Default", "AdaLoRA"),
        ),
        ("LoRA vs AdaLoRA vs Prefix Tuning", "prefix tuning adapts less", _better("Default", "prefix")),
        ("The Real Best Practices (For SFT) 4", "a weight decay of 1e-5 prevents over-fitting", Computed("decay")),
    ),
    *_of(
        CONFIGURATION_GUIDE.document,
        ("Rank (r)", "rank 16 is better than 4", _better("Default", "Low Rank (r=4)")),
        ("Rank (r)", "from 16 to 32 there is little more", _hardly("High Rank (r=32)", "Default")),
        (
            "Rank (r)",
            "the step from 4 to 16 brings more than that from 16 to 32",
            Compared("loss", ((-2.0, "Default"), (1.0, "Low Rank (r=4)"), (1.0, "High Rank (r=32)"))),
        ),
        (
            "Rank (r)",
            "a higher rank trains slower",
            Compared("time saved", ((1.0, "Default"), (-1.0, "High Rank (r=32)"))),
        ),
        ("Alpha", "alpha over r strengthens the update: 2r learns more than r", _better("Default", "alpha = r")),
        ("Target Modules", "queries alone have 70% fewer parameters than attention", Computed("query_only")),
        (
            "Target Modules",
            "queries alone are 4.3 points of accuracy lower",
            _better("Default", "Query-Only", "score", 0.033, 0.053),
        ),
        ("Target Modules", "all of attention is better than Q+K+V", _better("Default", "Q+K+V")),
        ("Target Modules", "all projections adapt most", _better("All projections", "Default")),
        ("Dropout", "0.3 is slightly better than 0.1", _hardly("dropout 0.3", "Default")),
        ("Bias Training", "biases bring at most a little", _hardly("With Bias Training", "Default")),
        ("Memory-Constrained Environments", "rank 4 saves memory against 32", Computed("memory_of_rank")),
        ("Memory-Constrained Environments", "four bits save more of it than any rank", Computed("memory_of_nf4")),
        (
            "Applied Examples from Our Project",
            "4, 16 and 32 train 0.17%, 0.23% and 0.34%",
            Computed("shares_of_ranks"),
        ),
        ("Applied Examples from Our Project", "QLoRA scores lower than LoRA", _better("Default", "QLoRA", "score")),
        (
            "Applied Examples from Our Project",
            "QLoRA takes longer",
            Compared("time saved", ((1.0, "Default"), (-1.0, "QLoRA"))),
        ),
    ),
    *_of(
        WORKING_NOTES.document,
        ("Performance", "full fine-tuning is better than LoRA", _better("full", "Default")),
        ("Performance", "LoRA is better than QLoRA", _better("Default", "QLoRA")),
        (
            "Performance",
            "LoRA gains 20 to 40 points over the base",
            _better("Default", "the base", "score", 0.20, 0.40),
        ),
        ("Performance", "a rank of 64 and more brings a bigger gain", _better("r=64", "Default")),
        ("Configuration: lora_alpha", "alpha = 4r is the better standard", _better("alpha = 4r", "Default")),
        ("Configuration: lora_dropout", "0.05 or 0.1 helps on small sets", _better("dropout 0.05", "dropout 0")),
        (
            "Configuration: target_modules",
            "query and key are tied: without the key it is as good",
            _close("Q+V", "Q+K+V"),
        ),
        ("Configuration: target_modules", "query and value are a good balance", _close("Q+V", "Default")),
        (
            "Configuration: target_modules",
            "the output projection is useful but not necessary",
            _close("Q+K+V", "Default"),
        ),
        ("Configuration: target_modules", "from 13B on query and value do", Open(_SIZES)),
        (
            "Use Case",
            "full fine-tuning gives new abilities",
            Open("a task that the base cannot do at all, and a score of it"),
        ),
        (
            "Use Case",
            "four bits hurt long chains of reasoning",
            Open("rows with long answers, on a base of full precision"),
        ),
    ),
)
