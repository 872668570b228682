"""A linear head over labels, fitted by scikit-learn and judged by cross-validation."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.model_selection import StratifiedKFold  # type: ignore[import-untyped]

from rankwise.facts.unattached import Features
from rankwise.model.linear import Head

LEAST_PROBABILITY = 1e-6
"""Of a label in the loss of a fold; a fold may lack a rare label altogether."""
MOST_ITERATIONS = 1000


def _regression(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=MOST_ITERATIONS)


def held_back_loss(
    states: np.ndarray, targets: np.ndarray, labels: int, strength: float, folds: int, seed: int
) -> float:
    """Mean -ln p of each row's label by a head fitted on the other folds. The only row of a label is in every fit, and
    judged by none: without it the head would not know the label. One label at least has two rows."""
    counts = np.bincount(targets, minlength=labels)
    held, always = np.flatnonzero(counts[targets] > 1), np.flatnonzero(counts[targets] == 1)
    lost = np.empty(len(held))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for rest, left_out in StratifiedKFold(folds, shuffle=True, random_state=seed).split(held, targets[held]):
            own, other = np.concatenate([held[rest], always]), held[left_out]
            mean, deviation = _standards(states[own])
            fitted = _regression(strength).fit((states[own] - mean) / deviation, targets[own])
            known = np.zeros((len(other), labels))
            known[:, fitted.classes_] = fitted.predict_proba((states[other] - mean) / deviation)
            lost[left_out] = -np.log(np.maximum(known[np.arange(len(other)), targets[other]], LEAST_PROBABILITY))
    return float(lost.mean())


def fit_head(states: np.ndarray, targets: np.ndarray, strength: float, kind: Features, skipped: int) -> Head:
    """On all rows; what standardises the states goes into the weights."""
    mean, deviation = _standards(states)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = _regression(strength).fit((states - mean) / deviation, targets)
    weight = fitted.coef_ / deviation
    bias = fitted.intercept_ - weight @ mean
    return Head(kind, skipped, torch.from_numpy(weight).contiguous(), torch.from_numpy(bias).contiguous())


def _standards(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature; of one that never changes, 1."""
    deviation = states.std(0)
    return states.mean(0), np.where(deviation > 0, deviation, 1.0)
