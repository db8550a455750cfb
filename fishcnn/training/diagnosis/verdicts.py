"""From curves to the list of verdicts, and its text."""

from collections.abc import Sequence
from dataclasses import replace

from fishcnn.training.diagnosis.kept import checkpoint
from fishcnn.training.diagnosis.learning import (
    class_ignored,
    few_images,
    fine,
    only_probed,
    overfitting,
    still_climbing,
    too_short,
    underfitting,
)
from fishcnn.training.diagnosis.reading import Run
from fishcnn.training.diagnosis.records import Curves, Settings, Verdict
from fishcnn.training.diagnosis.step_size import blown_up, diverged, plateau, stuck, unstable
from fishcnn.utils.text import markdown, markdown_code

# One report must not ask for both longer and shorter training.
_SUBJECT = {"callbacks.early_stopping.enabled": "length", "trainer.max_epochs": "length"}


def diagnose(curves: Curves, settings: Settings) -> tuple[Verdict, ...]:
    """Read the curves as an experienced person would; no suggestion repeats what is in force.

    Returns:
        At least one verdict, the most important first. Where two suggest different values for
        the same setting, only the first suggestion is kept.
    """
    run = Run(curves, settings)
    if not settings.lr:
        probed = (class_ignored(run), checkpoint(run), only_probed(run))
        return tuple(verdict for verdict in probed if verdict)
    if broken := diverged(run) or stuck(run):
        return (broken,)
    found = [blown_up(run)]
    if run.is_short:
        found += [too_short(run), checkpoint(run)]
    else:
        # A network that overfits has learnt too much, not too little.
        fit = overfitting(run) or underfitting(run)
        found += [few_images(run), unstable(run), fit, plateau(run), class_ignored(run)]
        # A network that has learnt nothing is said to be guessing already.
        kept = None if run.at_chance else checkpoint(run)
        if kept and fit:  # the remedies of how it learns come first
            kept = replace(kept, suggestions=())
        found.append(kept)
    return _without_conflicts(
        [verdict for verdict in found if verdict] or [still_climbing(run) or fine(run)]
    )


def report(verdicts: Sequence[Verdict]) -> str:
    """Write Markdown: a heading, and for each verdict its sentence and the overrides to try."""
    parts = ["# Diagnosis"]
    for verdict in verdicts:
        parts.append(f"**{verdict.name.capitalize()}:** {markdown(verdict.why)}")
        if verdict.suggestions:
            overrides = "\n".join(
                f"- {markdown_code(override)}" for override in verdict.suggestions
            )
            parts.append(f"Try next, one at a time so that you see what helped:\n\n{overrides}")
    return "\n\n".join(parts) + "\n"


def _without_conflicts(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    chosen: dict[str, str] = {}

    def stands(override: str) -> bool:
        key = override.partition("=")[0]
        return chosen.setdefault(_SUBJECT.get(key, key), override) == override

    return tuple(replace(v, suggestions=tuple(filter(stands, v.suggestions))) for v in verdicts)
