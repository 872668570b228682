"""Every section of the five seed documents is in the doctrines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rankwise.doctrine import DOCTRINES
from rankwise.doctrine.errata import ERRATA

SEEDS = Path(__file__).parents[3] / "shared" / "seeds"

ONLY_PARTS = ""
"""Cited as nothing: a heading without a text of its own (half a line at most), whose parts are cited."""
HALF_A_LINE = 40

SECTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "000": (
        "best-practices",
        {
            "Core Principles": ONLY_PARTS,
            "1. LoRA Alpha >= LoRA Rank (Preferably 2×Rank)": "Core Principles 1",  # noqa: RUF001
            "2. 10x Higher Learning Rates (2e-4 instead of 2e-5)": "Core Principles 2",
            "3. LoRA on ALL MLP and Attention Layers": "Core Principles 3",
            "Complete Configuration Template": "Complete Configuration Template",
            "Research Reference": "Research Reference",
            "Domain-Specific Applications": "Domain-Specific Applications",
            "Implementation Files": "Implementation Files",
            "Benefits of These Practices": "Benefits of These Practices",
            "Validation": "Validation",
        },
    ),
    "001": (
        "without-regret",
        {
            "Executive Summary": "Executive Summary",
            "Critical Findings": ONLY_PARTS,
            "1. Which Layers to Apply LoRA": "Which Layers to Apply LoRA",
            "2. Learning Rate": "Learning Rate",
            "3. Capacity Requirements": "Capacity Requirements",
            "4. Batch Size Effects": "Batch Size Effects",
            "Hyperparameter Reference": ONLY_PARTS,
            "Default Configuration": "Default Configuration",
            "Rank Selection by Model Size": "Rank Selection by Model Size",
            "MoE Model Handling": "MoE Model Handling",
            "Capacity Calculation": ONLY_PARTS,
            "Quick Formula": "Quick Formula",
            "Capacity Validation": "Capacity Validation",
            "Common Pitfalls": ONLY_PARTS,
            "1. Attention-Only LoRA": "Common Pitfalls 1",
            "2. Learning Rate Too Low": "Common Pitfalls 2",
            "3. Undercapacity": "Common Pitfalls 3",
            "4. Missing Unembed": "Common Pitfalls 4",
            "5. Wrong Alpha": "Common Pitfalls 5",
            "Research Citations": "Research Citations 1",
        },
    ),
    "002": (
        "honest-choice",
        {
            "Clarification: LoRA IS a PEFT Method": "Clarification: LoRA IS a PEFT Method",
            "The Honest Answer: YES, PEFT (LoRA) is Correct": "The Honest Answer: YES, PEFT (LoRA) is Correct",
            "What You're Actually Doing": "What You're Actually Doing",
            "Why LoRA/PEFT is Correct (Real Reasons)": ONLY_PARTS,
            "1. You Have Supervised Labels": "Why LoRA/PEFT is Correct (Real Reasons) 1",
            "2. Parameter Efficiency": "Why LoRA/PEFT is Correct (Real Reasons) 2",
            "3. Domain Specialization": "Why LoRA/PEFT is Correct (Real Reasons) 3",
            "4. Better Than Prompt Optimization": "Why LoRA/PEFT is Correct (Real Reasons) 4",
            'The Misapplication: "LoRA for RL"': 'The Misapplication: "LoRA for RL"',
            "Should You Use Full Fine-Tuning Instead?": "Should You Use Full Fine-Tuning Instead?",
            "Full Fine-Tuning:": "Full Fine-Tuning",
            "LoRA (PEFT):": "LoRA (PEFT)",
            "What About Other PEFT Methods?": ONLY_PARTS,
            "LoRA vs AdaLoRA vs Prefix Tuning:": "LoRA vs AdaLoRA vs Prefix Tuning",
            "The Real Best Practices (For SFT)": ONLY_PARTS,
            "1. Alpha = 2×Rank": "The Real Best Practices (For SFT) 1",  # noqa: RUF001
            "2. Higher Learning Rate (2e-4)": "The Real Best Practices (For SFT) 2",
            "3. All MLP + Attention Layers": "The Real Best Practices (For SFT) 3",
            "4. Low Weight Decay (1e-5)": "The Real Best Practices (For SFT) 4",
            "Honest Recommendation": "Honest Recommendation",
            "Updated Justification": "Updated Justification",
            "Bottom Line": "Bottom Line",
        },
    ),
    "003": (
        "configuration-guide",
        {
            "Key Configuration Parameters": ONLY_PARTS,
            "Rank (r)": "Rank (r)",
            "Alpha (α)": "Alpha",  # noqa: RUF001
            "Target Modules": "Target Modules",
            "Dropout": "Dropout",
            "Bias Training": "Bias Training",
            "Task-Specific Recommendations": ONLY_PARTS,
            "Sentiment Analysis (like this project)": "Sentiment Analysis (like this project)",
            "Text Generation/Completion": "Text Generation/Completion",
            "Question Answering": "Question Answering",
            "Memory-Constrained Environments": "Memory-Constrained Environments",
            "Extremely Memory-Constrained (< 8GB VRAM)": "Extremely Memory-Constrained (< 8GB VRAM)",
            "Experimental Approach": "Experimental Approach",
            "Applied Examples from Our Project": "Applied Examples from Our Project",
        },
    ),
    "004": (
        "working-notes",
        {
            "Features": "Features",
            "Use Case": "Use Case",
            "Configuration": ONLY_PARTS,
            "Performance": "Performance",
        },
    ),
}
"""Number of the document -> the doctrine that holds it, and its headings below the title -> how they are cited."""
PARAMETERS = ("r", "lora_alpha", "lora_dropout", "target_modules")
"""What the notes' section "Configuration" goes through, one by one, without headings."""

CITED = [(number, section) for number, (_, sections) in SECTIONS.items() for section in sections.values() if section]
CITED += [("004", f"Configuration: {parameter}") for parameter in PARAMETERS]


def citations() -> set[str]:
    entries = [entry for doctrine in DOCTRINES.values() for entry in (*doctrine.rules, *doctrine.objections)]
    lessons = [lesson for doctrine in DOCTRINES.values() for lesson in doctrine.lessons]
    return {entry.source for entry in (*entries, *lessons, *ERRATA)}


@pytest.mark.parametrize(("number", "section"), CITED)
def test_the_section_is_cited(number: str, section: str) -> None:
    document = DOCTRINES[SECTIONS[number][0]].document
    assert f"{document}, {section}" in citations()


def test_what_is_cited_from_a_document_is_one_of_its_sections() -> None:
    for number, (name, _) in SECTIONS.items():
        document = DOCTRINES[name].document
        known = {f"{document}, {section}" for of, section in CITED if of == number}
        known |= {f"{document}, Research Citations {n}" for n in range(1, 5) if number == "001"}
        assert {cited for cited in citations() if cited.startswith(f"{document}, ")} <= known, number


def headings(text: str) -> dict[str, str]:
    """Heading without its decoration -> the text below it, up to the next; code blocks are no headings."""
    found: dict[str, str] = {}
    fenced, current = False, None
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        if not fenced and (match := re.match(r"#{2,} (.+)", line)):
            current = re.sub(r"[*✅]", "", match[1]).strip()
            found[current] = ""
        elif current is not None and line.strip("- "):
            found[current] += line
    return found


@pytest.mark.skipif(not SEEDS.is_dir(), reason="the seed documents lie beside the repository on some machines only")
@pytest.mark.parametrize("number", SECTIONS)
def test_the_list_is_that_of_the_document(number: str) -> None:
    [file] = SEEDS.glob(f"{number}_*.txt")
    found = headings(file.read_text(encoding="utf-8"))
    sections = SECTIONS[number][1]
    assert list(found) == list(sections)
    if number != "004":  # whose section of parameters is all text
        uncited = {name: found[name] for name, section in sections.items() if section == ONLY_PARTS}
        assert not {name: text for name, text in uncited.items() if len(text) >= HALF_A_LINE}
