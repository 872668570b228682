"""Where a source is wrong in fact or contradicts itself, and what the plan does about it.

Counts of parameters are r x (in + out) over all linear layers but the head, from the config.json of each base.
"""

from __future__ import annotations

from dataclasses import dataclass

from rankwise.doctrine.best_practices import BEST_PRACTICES
from rankwise.doctrine.configuration_guide import CONFIGURATION_GUIDE
from rankwise.doctrine.honest_choice import HONEST_CHOICE
from rankwise.doctrine.without_regret import WITHOUT_REGRET
from rankwise.doctrine.working_notes import WORKING_NOTES

_POST = "LoRA Without Regret (Thinking Machines, 2025)"


@dataclass(frozen=True)
class Erratum:
    document: str
    """As doctrines cite it."""
    section: str
    says: str
    fact: str
    evidence: str
    """What shows it: the model's own config, a closed form, a measurement."""
    consequence: str
    """What the plan does about it."""

    @property
    def source(self) -> str:
        return f"{self.document}, {self.section}"


def _of(document: str, *entries: tuple[str, str, str, str, str]) -> tuple[Erratum, ...]:
    return tuple(Erratum(document, *entry) for entry in entries)


ERRATA = (
    *_of(
        BEST_PRACTICES.document,
        (
            "Core Principles 1",
            "The least alpha is the rank; and alpha equal to the rank is too low.",
            "It allows and warns of the same value.",
            "The rule's line and its rationale.",
            "alpha under the rank breaks the rule; alpha equal to it gets a warning of its own.",
        ),
        (
            "Core Principles 2",
            "The tenfold rate is justified by reinforcement learning.",
            "The use is supervised; the value stays, the reason does not.",
            'LoRA/PEFT: The Correct Choice, The Misapplication: "LoRA for RL".',
            "Reasons of this doctrine cite the correction.",
        ),
        (
            "Core Principles 2",
            "2e-4, ten times 2e-5, on any base.",
            "The best rate depends on the base: on a 135M base 2e-4 left a held-out loss of 0.336, 2e-3 one of 0.258.",
            "docs/log.md: SmolLM2-135M, r=16, 640 rows, one seed; the fits of tinker-cookbook by hidden size.",
            "The rankwise doctrine's rate follows hidden size and rank.",
        ),
        (
            "Core Principles 3",
            "`mlp` and `mlp_proj` belong in the list of target modules.",
            "On Llama `mlp` is the block that holds gate, up and down; PEFT stops with a ValueError at it, and "
            "passes over `mlp_proj`, which is nowhere, in silence.",
            "PEFT 0.21 on a Llama of random weights.",
            "A container is resolved to the projections inside; an absent name is reported.",
        ),
        (
            "Research Reference",
            "The post shows LoRA for reinforcement learning, and that alpha = 2 x rank is optimal.",
            "The post trains on supervised sets first, with alpha = 32 at every rank; 2 x rank is not among its runs.",
            f"{_POST}: Tulu3 and OpenThoughts3, rank 1 to 512, alpha 32.",
            "alpha = 2 x rank is cited as this document's word, not as the post's.",
        ),
        (
            "Domain-Specific Applications",
            "All domains of the system are in the table: eight.",
            "The same system has twelve domains.",
            "LoRA/PEFT: The Correct Choice, Why LoRA/PEFT is Correct (Real Reasons) 3.",
            "The doctrine gives the same values for every domain, the other four among them.",
        ),
        (
            "Benefits of These Practices",
            "0.1-1% of the parameters are trained.",
            "At rank 16 on all projections: 0.52% of Llama-3.1-8B (41,943,040), but 3.63% of SmolLM2-135M (4,884,480).",
            "Closed form over both shapes; a small base's matrices are small beside their rank.",
            "The plan shows the exact count and share.",
        ),
        (
            "Validation",
            "The values are validated by research, production and reinforcement learning.",
            "No run, set or figure is named; its own sister document withdraws the second reason.",
            "The section itself; LoRA/PEFT: The Correct Choice, Updated Justification.",
            "Its rules are of kind stated or conventional, never measured.",
        ),
    ),
    *_of(
        WITHOUT_REGRET.document,
        (
            "Which Layers to Apply LoRA",
            "MLP + attention is better than MLP alone, and the unembedding better still.",
            "The post finds all layers about equal to the MLP alone; its runs all adapted the unembedding, so it has "
            "no such row. The quoted sizes hold with it only: attention at rank 256 252.0M, MLP at rank 128 243.4M.",
            "851,968 and 1,769,472 parameters per rank on Llama-3.1-8B, 132,352 for the unembedding.",
            "All layers are adapted; lm_head only where it is a matrix of its own.",
        ),
        (
            "Learning Rate",
            "The ratio of 10 holds for all ranks and sizes; full fine-tuning's rate is (2000 / hidden) x 1e-4.",
            "The ratio is lower at rank 1 and about 15 in short runs. The fit behind it is 5e-5 x (2000 / hidden)^p "
            "with p = 0.781 for Llama and 0.0775 for Qwen: for Llama-3.1-8B 2.86e-4 with LoRA, not 4.88e-4.",
            f"{_POST}; tinker-cookbook, get_lr.",
            "This doctrine gives the formula as written; the rankwise doctrine starts from the fit.",
        ),
        (
            "Capacity Requirements",
            "Rank 64 on an 8B model is about 50M parameters.",
            "It is 167,772,160 over the seven projections of Llama-3.1-8B, 176,242,688 with lm_head.",
            "2,621,440 per rank, and 132,352 for lm_head. Its own quick formula gives 167,772,160, too.",
            "Counts come from the base's shapes.",
        ),
        (
            "Default Configuration",
            "Rank 64 with alpha 32.",
            "alpha is under the rank, which LoRA Best Practices forbids, and halves the update where alpha = rank "
            "would not.",
            "LoRA Best Practices, Core Principles 1; scale alpha / r = 0.5.",
            "The doctrine gives its 32; the floor is among the objections. rankwise itself keeps alpha = 2 x rank.",
        ),
        (
            "Rank Selection by Model Size",
            "Adapters have 5-20M (1-3B), 20-80M (7-8B), 40-160M (13B), 100-300M (34B), 200-500M (70B) parameters.",
            "At the ranks beside them: 11.3-48.6M, 83.9-167.8M, 250.3-500.7M, 871.4-1,307.0M, 1,656.8-3,313.5M.",
            "Llama-3.2-1B and 3B, Llama-3.1-8B, Llama-2-13B, CodeLlama-34B, Llama-3.1-70B, all seven projections.",
            "The ranks are kept, the counts are exact.",
        ),
        (
            "MoE Model Handling",
            "Qwen3-30B-A3B has 8 experts, 2 of them active.",
            "It has 128, 8 of them active, so rank 64 leaves 8 for each expert, not 32.",
            "Its config.json: num_experts 128, num_experts_per_tok 8.",
            "The rank per expert is computed from the base's own numbers.",
        ),
        (
            "MoE Model Handling",
            "With rank 32 per expert the adapter is about as large as a dense model's.",
            "Over 128 experts and 48 layers it is 1,660,944,384 parameters, at rank 8 415,236,096; rank 64 on a "
            "dense 8B is 167,772,160.",
            "51,904,512 per rank: 48 x 128 x 3 x (2048 + 768).",
            "Counts take the experts that the base's config has.",
        ),
        (
            "Quick Formula",
            "About 10 adapted projections a layer, each hidden x hidden.",
            "There are seven, of other shapes. On Llama-3.1-8B the product is right to the last parameter (2,621,440 "
            "per rank), on SmolLM2-135M 13% too high (345,600 for 305,280), on Llama-3.2-1B 7% too low (655,360 for "
            "704,512).",
            "Closed form over the shapes.",
            "Where the base is known its shapes count; the approximation serves where only sizes are given.",
        ),
        (
            "Quick Formula",
            "int(smallest) + 1 is the least rank.",
            "Where the quotient is whole it is one too many: 5,242,880 tokens on Llama-3.1-8B fit rank 1, it says 2.",
            "5,242,880 / 2 / 2,621,440 = 1.",
            "The exact verdict rounds up.",
        ),
        (
            "Common Pitfalls 5",
            "Cure instability with alpha = 32 or alpha = rank.",
            "The two differ by the factor r / 32: at rank 64 one halves the other, at rank 256 it is an eighth.",
            "scale = alpha / r.",
            "Instability is cured by the learning rate; alpha is judged as alpha / r.",
        ),
    ),
    *_of(
        HONEST_CHOICE.document,
        (
            "Why LoRA/PEFT is Correct (Real Reasons) 2",
            "Full fine-tuning updates 3.5B parameters; LoRA 4.2M, 0.12% of them.",
            "4,194,304 is rank 8 on q and v of Llama-2-7B, and 3,504,607,232 what a 7B counts when two 4-bit weights "
            "are packed in a byte: 0.1197%. Of its true 6,738,415,616 it is 0.06%. The configuration that it "
            "defends, rank 16 on all layers, is 0.52% of an 8B.",
            "32 x 2 x 8 x (4096 + 4096); 6,476,005,376 linear weights halved, with embeddings, norms and adapter.",
            "Shares are of the base's true parameters, packed or not.",
        ),
        (
            "LoRA vs AdaLoRA vs Prefix Tuning",
            "The model in use is 8B.",
            "Elsewhere in the document it is 3.5B; 4.2M of 8B would be 0.05%.",
            "Why LoRA/PEFT is Correct (Real Reasons) 2; 8,030,261,248 parameters of Llama-3.1-8B.",
            "Size is read from the base.",
        ),
        (
            "Should You Use Full Fine-Tuning Instead?",
            "LoRA trains 98% faster.",
            "Its compute is about two thirds of full fine-tuning's; measured, 0.44 to 0.49 of the time.",
            f"{_POST}: 2/3 + 2r/N per matrix; PEFT's method comparison, Llama-3.2-3B: 942 to 1,050 s against 2,147 s.",
            "Times are measured on the machine at hand.",
        ),
        (
            'The Misapplication: "LoRA for RL"',
            "The research is about reinforcement learning.",
            "It is about supervised training first; the tenfold rate and all layers were found there as well.",
            f"{_POST}; LoRA/QLoRA Doctrine, Learning Rate.",
            "Reasons for supervised values cite supervised findings.",
        ),
        (
            "Why LoRA/PEFT is Correct (Real Reasons) 4",
            "GEPA is for problems without labels.",
            "It optimises prompts against a metric, and its paper does so on labelled sets such as HotpotQA.",
            "GEPA: Reflective Prompt Evolution Can Outperform Reinforcement Learning (arXiv 2507.19457).",
            "A prompt with examples is one of the contestants of every evaluation.",
        ),
        (
            "LoRA vs AdaLoRA vs Prefix Tuning",
            "Prefix tuning learns soft prompts.",
            "It learns keys and values for every layer; vectors put before the input alone are prompt tuning.",
            "PEFT's PrefixTuningConfig and PromptTuningConfig.",
            "Method prefix means keys and values.",
        ),
        (
            "The Real Best Practices (For SFT) 4",
            "A weight decay of 1e-5 prevents over-fitting.",
            "A step shrinks a weight by rate x decay = 2e-9 of itself; 1,000 steps by 0.0002%.",
            "AdamW: w <- w (1 - 2e-4 x 1e-5); (1 - 2e-9)^1000 = 0.999998.",
            "The value does no harm and is kept where asked for; over-fitting is met by the best held-out evaluation.",
        ),
    ),
    *_of(
        CONFIGURATION_GUIDE.document,
        (
            "Rank (r)",
            "16 to 32 gained 0.34% accuracy.",
            "In its table it loses 3.1 points, 87.3 to 84.2; 0.34 is the share of parameters at rank 32.",
            "Applied Examples from Our Project.",
            "The objection to ranks of 32 and more cites the table.",
        ),
        (
            "Bias Training",
            "lora_only gains about 0.2% accuracy.",
            "In its table it loses 4.4 points, 87.3 to 82.9; and the preset for question answering trains biases all "
            "the same.",
            "Applied Examples from Our Project; Question Answering.",
            "The objection names both; a base without biases is said to have none.",
        ),
        (
            "Alpha",
            "alpha = r is the paper's standard; the standard alpha = 2r worked well.",
            "Two values are called standard, and no row of the table varies alpha.",
            "The section; Applied Examples from Our Project.",
            "2r is taken, as recommended.",
        ),
        (
            "Alpha",
            "h = h + (BA) * (alpha / r)",
            "The update acts on the layer's input: h = W x + (alpha / r) B A x.",
            "A product of matrices cannot be added to activations; PEFT's Linear.forward.",
            "No value rests on it; PEFT computes the update.",
        ),
        (
            "Target Modules",
            "Queries alone have 70% fewer parameters than all of attention.",
            "74% by its table (0.06% for 0.23%), 75% by the shapes: one of four equal matrices.",
            "Applied Examples from Our Project; 768 x 768 four times a layer in DistilBERT.",
            "The objection quotes the guide; the plan shows exact counts.",
        ),
        (
            "Target Modules",
            "Q+K+V+O was the best trade-off.",
            "No row of the table adapts the MLP, nor Q+K+V; the post finds attention alone worse than the MLP alone.",
            f"Applied Examples from Our Project; {_POST}.",
            "Its word is followed under this doctrine only.",
        ),
        (
            "Dropout",
            "0.1 to 0.3 brought minor gains; no dropout for small sets, 0.3 for large ones.",
            "No row of the table varies dropout. Small sets over-fit sooner, which the working notes say: the "
            "reverse rule.",
            "Applied Examples from Our Project; Low-Rank Adaptation (LoRA), Configuration: lora_dropout.",
            "The conflict is shown; rankwise uses none and keeps the best held-out evaluation.",
        ),
        (
            "Question Answering",
            "q_proj, o_proj, gate_proj, ... on a sequence-to-sequence model.",
            "T5 calls them q, k, v, o, wi and wo, so none of the seven is there; BART has out_proj, fc1 and fc2 for "
            "four.",
            "transformers 5: modeling_t5, modeling_bart.",
            "Names are translated by role.",
        ),
        (
            "Extremely Memory-Constrained (< 8GB VRAM)",
            "Rank 4 and queries alone, to fit into little memory.",
            "In its table rank 4 saves 10.6 MB of 3,089.1 against rank 32, queries alone 2.2 MB of 3,081.5 and 4.3 "
            "points of accuracy; 4 bits save 379.6 MB.",
            "Applied Examples from Our Project.",
            "What saves memory is the base's precision and the micro-batch; rank comes last.",
        ),
        (
            "Applied Examples from Our Project",
            "0.17%, 0.23% and 0.34% of the parameters at rank 4, 16 and 32.",
            "An adapter grows with its rank: 1 to 4 to 8. On DistilBERT, whose names it uses, they are 0.22%, 0.88%, "
            "1.76%.",
            "6 x 4 x 2 x 768 per rank, of 66,955,010 parameters.",
            "Counts come from the base's shapes.",
        ),
        (
            "Applied Examples from Our Project",
            "21.7 s an epoch at rank 16, 9.4 s at rank 4, 9.3 s at rank 32.",
            "Rank cannot make 16 slower than 32; one of the runs was disturbed. Nor is any spread over seeds given.",
            "The table; in tinker-cookbook's sweep a run takes 42 to 47 minutes at every rank.",
            "Its times count for nothing; its differences of accuracy are marked as one run each.",
        ),
    ),
    *_of(
        WORKING_NOTES.document,
        (
            "Configuration: lora_alpha",
            "alpha / r = 4 is standard; a high scale risks instability.",
            "PEFT's default is 1, LoRA Best Practices asks for 2 and calls 4 unstable.",
            "PEFT 0.21, LoraConfig; LoRA Best Practices, Core Principles 1.",
            "The conflict is shown.",
        ),
        (
            "Configuration: target_modules",
            "query and key are tied, adapting one is enough; small and medium bases adapt q, k, v and o.",
            "The second list has both. The score depends on Wq'Wk alone, but rotary positions and grouped keys stand "
            "between the two in today's bases.",
            "The section; transformers 5: modeling_llama.",
            "Both are adapted below 13B, as its list says.",
        ),
        (
            "Configuration: target_modules",
            "From 13B on query and value do.",
            "The post's finding, MLP before attention, was made on Llama-3.1-8B; nothing shows that it turns over at "
            "13B.",
            _POST,
            "Its word is followed under this doctrine only.",
        ),
        (
            "Performance",
            "full fine-tuning > LoRA > QLoRA, and +20 to 40 points over the base.",
            "No run is named. LoRA equals full fine-tuning where its capacity suffices; gains depend on base and task: "
            "SmolLM2-135M gained 71 points on one public set.",
            f"{_POST}; docs/evidence/first-adapters.md, phrasebank-1200.",
            "Nothing is promised: base, few-shot base, cheap baseline and adapter meet on the same rows.",
        ),
    ),
)
