"""The content of trust.json: all numbers of the measurements."""

from typing import Any

from torch import Tensor

from fishcnn.cam.faithfulness import Scores
from fishcnn.cam.localisation import Localisation, Place
from fishcnn.commands.explain.examples import evidence_row
from fishcnn.commands.explain.measurements import Measured, judged
from fishcnn.commands.explain.question import Question
from fishcnn.utils.text import finite


def trust_content(
    measured: Measured, question: Question, classes: list[str], checkpoint: str, seed: int
) -> dict[str, Any]:
    """Gather all numbers; what is undefined is None."""
    question = judged(question)
    faithful, random = measured.faithfulness, measured.randomisation
    content = {
        "checkpoint": checkpoint,
        "method": question.method,
        "layer": question.layers[0],
        "target": question.target,
        "seed": seed,
        "verdicts": verdicts(measured),
        "findings": list(measured.evidence.findings),
        "faithfulness": {
            "pictures": len(faithful.maps.drop),
            "map": _means(faithful.maps),
            "random_map": _means(faithful.random),
            "centre": _means(faithful.centre),
        },
        "curves": {
            name: {"deletion": curves.deletion.tolist(), "insertion": curves.insertion.tolist()}
            for name, curves in measured.curves.items()
        },
        "randomisation": random
        and {
            "pictures": random.images,
            "depths": [
                {"layer": d.layer, "correlation": d.correlation, "absolute": d.absolute}
                for d in random.depths
            ],
        },
        "evidence": _evidence(measured.evidence),
        "pictures": _pictures(measured, classes),
    }
    plain: dict[str, Any] = finite(content)
    return plain


def verdicts(measured: Measured) -> list[str]:
    """Whether the maps are to be trusted, a line for each test."""
    found = [measured.faithfulness.verdict, measured.faithfulness.drop_verdict]
    if measured.randomisation is None:
        found.append("Nothing to randomise: every map is empty (Adebayo et al. 2018).")
    else:
        found.append(measured.randomisation.verdict)
    return found


def _means(scores: Scores) -> dict[str, float]:
    def mean(values: Tensor) -> float:
        return float(values.mean())

    return {
        "deletion_area": mean(scores.deletion),
        "insertion_area": mean(scores.insertion),
        "average_drop": mean(scores.drop),
        "increase_in_confidence": mean(scores.increase),
    }


def _evidence(evidence: Localisation) -> dict[str, Any]:
    places = {"fish": evidence.fish, "border": evidence.border, "bars": evidence.bars}
    shortcut = evidence.shortcut
    return {
        "overall": {name: _overall(place) for name, place in places.items() if place},
        "pointing_game": None
        if evidence.pointing is None or evidence.fish is None
        else dict(zip(evidence.classes, evidence.pointing.tolist(), strict=True)),
        "classes": {
            name: {
                place_name: {
                    "energy": float(place.energy[label]),
                    "area": float(place.area[label]),
                    "pictures": int(place.images[label]),
                    "more_than_area": bool(place.more_than_area[label]),
                    "examples": list(place.examples[label]),
                }
                for place_name, place in places.items()
                if place is not None
            }
            for label, name in enumerate(evidence.classes)
        },
        "shortcut": shortcut
        and {
            "patch": shortcut.patch,
            "why": shortcut.why,
            "classes_judged": shortcut.classes,
            "examples": {
                evidence.classes[label]: list(positions)
                for label, positions in shortcut.examples.items()
            },
        },
    }


def _overall(place: Place) -> dict[str, float]:
    energy, area = place.overall
    return {"energy": energy, "area": area}


def _pictures(measured: Measured, classes: list[str]) -> list[dict[str, Any]]:
    """The pictures by their number."""
    rows = [evidence_row(measured, number, classes) for number in range(len(measured.pictures))]
    return [
        {
            "path": row.path,
            "true": row.true,
            "predicted": row.top[0][0],
            "probability": row.top[0][1],
            "energy_on_fish": row.energy[0],
        }
        for row in rows
    ]
