"""Twenty invented fish species as data: outline, fins, tail, pattern, colour.

The fish frame that all numbers refer to: the nose is at (0, 0), the root of the tail fin at
(1, 0), y grows towards the back. Lengths are thus shares of the standard length, as in the
keys that biologists use. Several species share an outline and differ in pattern, or the other
way round; their colours overlap on purpose, so that no single cue names a species.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fin:
    """A fin on the back or belly, standing on the outline from ``start`` to ``end``."""

    start: float
    end: float
    height: float
    peak: float = 0.3  # where between start (0) and end (1) it is highest
    sweep: float = 0.35  # how far the tip leans towards the tail, in fin heights
    spines: int = 0  # teeth of its edge


@dataclass(frozen=True)
class Tail:
    """The tail fin; ``fork`` is 0 for a straight edge, 1 for two points, below 0 for round."""

    length: float
    spread: float
    fork: float


@dataclass(frozen=True)
class Species:
    """What one species looks like; see the module's docstring for the frame."""

    name: str
    depth: float  # greatest body height
    peak: float  # where it is highest
    blunt: float  # 0.4 round head, 1 pointed head
    peduncle: float  # height of the tail's stalk, in depths
    belly: float  # share of the depth below the axis
    tail: Tail
    above: tuple[Fin, ...]
    below: tuple[Fin, ...]
    pectoral: float  # length of the fin on the flank
    pattern: str  # a key of PATTERNS, or "none"
    repeats: float  # how often the pattern repeats along the body
    hue: float  # centre of the individuals' hues, 0..1
    marks: tuple[str, ...] = ()  # keys of MARKS
    pale_pattern: bool = False  # light pattern on a dark body
    barbels: float = 0.0  # length of the whiskers


FORKED = Tail(0.26, 0.20, 0.6)
SQUARE = Tail(0.20, 0.15, 0.1)
ROUND = Tail(0.24, 0.15, -0.5)
LUNATE = Tail(0.22, 0.27, 0.85)

PELVIC = Fin(0.38, 0.47, 0.10, peak=0.4, sweep=0.8)
PELVIC_FAR = Fin(0.52, 0.60, 0.08, peak=0.4, sweep=0.8)
ANAL = Fin(0.68, 0.86, 0.10, peak=0.25, sweep=0.5)
ADIPOSE = Fin(0.80, 0.86, 0.05, peak=0.5, sweep=0.9)
SPINY_DORSAL = Fin(0.30, 0.78, 0.12, peak=0.3, spines=9)
SHORT_DORSAL = Fin(0.42, 0.62, 0.13, peak=0.2, sweep=0.6)
FINLETS = tuple(Fin(x, x + 0.035, 0.03, peak=0.5, sweep=0.9) for x in (0.76, 0.82, 0.88, 0.94))

SPECIES: tuple[Species, ...] = (
    Species("banded_carp", 0.38, 0.40, 0.60, 0.36, 0.48, FORKED,
            (Fin(0.36, 0.80, 0.12, peak=0.15, sweep=0.2),), (PELVIC, ANAL), 0.16,
            "bars", 5, 0.11, barbels=0.07),
    Species("speckled_trout", 0.25, 0.40, 0.60, 0.40, 0.50, SQUARE,
            (SHORT_DORSAL, ADIPOSE), (PELVIC_FAR, ANAL), 0.13,
            "spots", 13, 0.12),
    Species("ribbon_bream", 0.46, 0.38, 0.62, 0.24, 0.50, FORKED,
            (SPINY_DORSAL,), (PELVIC, ANAL), 0.20,
            "stripes", 4, 0.14),
    Species("river_pike", 0.17, 0.55, 0.95, 0.45, 0.52, FORKED,
            (Fin(0.76, 0.90, 0.11, peak=0.4),), (PELVIC_FAR, Fin(0.77, 0.90, 0.10, peak=0.4)), 0.10,
            "spots", 12, 0.20, pale_pattern=True),
    Species("crescent_angelfish", 0.66, 0.48, 0.80, 0.20, 0.50, Tail(0.26, 0.18, 0.15),
            (Fin(0.36, 0.88, 0.38, peak=0.75, sweep=0.6),),
            (Fin(0.30, 0.35, 0.30, peak=0.4, sweep=0.5),
             Fin(0.48, 0.88, 0.36, peak=0.7, sweep=0.6)), 0.15,
            "bars", 3, 0.15),
    Species("silver_herring", 0.23, 0.42, 0.70, 0.30, 0.58, Tail(0.26, 0.19, 0.85),
            (Fin(0.46, 0.60, 0.10, peak=0.2, sweep=0.5),),
            (PELVIC_FAR, Fin(0.76, 0.90, 0.05, peak=0.2)), 0.12,
            "none", 0, 0.55, marks=("dark_back",)),
    Species("lantern_butterflyfish", 0.60, 0.50, 0.95, 0.20, 0.50, SQUARE,
            (Fin(0.28, 0.95, 0.14, peak=0.6, sweep=0.2, spines=10),),
            (PELVIC, Fin(0.55, 0.95, 0.14, peak=0.6, sweep=0.2)), 0.16,
            "none", 0, 0.14, marks=("eye_band", "ocellus")),
    Species("marbled_grouper", 0.38, 0.38, 0.55, 0.36, 0.50, ROUND,
            (SPINY_DORSAL, Fin(0.76, 0.93, 0.12, peak=0.6, sweep=0.5)), (PELVIC, ANAL), 0.20,
            "marbling", 5, 0.07),
    Species("sickle_tuna", 0.29, 0.40, 0.65, 0.12, 0.50, LUNATE,
            (Fin(0.30, 0.46, 0.11, peak=0.15, spines=4), Fin(0.56, 0.66, 0.17, peak=0.5, sweep=1.0),
             *FINLETS),
            (PELVIC, Fin(0.60, 0.70, 0.17, peak=0.5, sweep=1.0), *FINLETS), 0.24,
            "none", 0, 0.60, marks=("dark_back",)),
    Species("whiskered_catfish", 0.24, 0.24, 0.42, 0.30, 0.45, Tail(0.22, 0.16, 0.45),
            (Fin(0.28, 0.38, 0.15, peak=0.3, sweep=0.5), ADIPOSE),
            (PELVIC_FAR, Fin(0.64, 0.92, 0.09)), 0.15,
            "none", 0, 0.09, barbels=0.26),
    Species("zebra_loach", 0.17, 0.35, 0.50, 0.62, 0.50, ROUND,
            (Fin(0.48, 0.62, 0.08, peak=0.4),), (PELVIC_FAR, Fin(0.78, 0.88, 0.06)), 0.09,
            "bars", 11, 0.11, barbels=0.06),
    Species("sailfin_perch", 0.32, 0.36, 0.62, 0.34, 0.50, SQUARE,
            (Fin(0.26, 0.84, 0.34, peak=0.55, sweep=0.15, spines=11),), (PELVIC, ANAL), 0.15,
            "bars", 7, 0.20),
    Species("netted_wrasse", 0.32, 0.42, 0.70, 0.46, 0.50, ROUND,
            (Fin(0.26, 0.90, 0.09, peak=0.5, sweep=0.1),),
            (PELVIC, Fin(0.56, 0.90, 0.08, peak=0.5)), 0.14,
            "net", 11, 0.40),
    Species("ember_snapper", 0.38, 0.34, 0.60, 0.30, 0.48, FORKED,
            (SPINY_DORSAL,), (PELVIC, ANAL), 0.22,
            "none", 0, 0.02, marks=("tail_spot",)),
    Species("chevron_tetra", 0.40, 0.40, 0.65, 0.26, 0.52, FORKED,
            (SHORT_DORSAL, ADIPOSE), (PELVIC, Fin(0.60, 0.90, 0.13, peak=0.15)), 0.14,
            "chevrons", 6, 0.58),
    Species("fan_gurnard", 0.26, 0.24, 0.45, 0.22, 0.50, SQUARE,
            (Fin(0.26, 0.42, 0.14, peak=0.3, spines=5), Fin(0.50, 0.88, 0.08)),
            (Fin(0.52, 0.90, 0.07),), 0.46,
            "saddles", 4, 0.03),
    Species("harlequin_triggerfish", 0.54, 0.46, 0.95, 0.18, 0.52, SQUARE,
            (Fin(0.34, 0.44, 0.13, peak=0.2, spines=3), Fin(0.60, 0.92, 0.15, peak=0.25)),
            (Fin(0.60, 0.92, 0.15, peak=0.25),), 0.10,
            "spots", 7, 0.62, pale_pattern=True),
    Species("lateral_barb", 0.29, 0.40, 0.65, 0.36, 0.50, FORKED,
            (SHORT_DORSAL,), (PELVIC, ANAL), 0.13,
            "none", 0, 0.13, marks=("lateral_band",), barbels=0.05),
    Species("harbour_basslet", 0.35, 0.38, 0.60, 0.36, 0.50, Tail(0.26, 0.20, 0.4),
            (Fin(0.28, 0.88, 0.11, peak=0.6, spines=8),), (PELVIC, ANAL), 0.15,
            "none", 0, 0.82, marks=("dark_front",)),
    Species("pebble_flounder", 0.52, 0.48, 0.60, 0.20, 0.50, Tail(0.20, 0.13, -0.3),
            (Fin(0.12, 0.95, 0.11, peak=0.55, sweep=0.1, spines=16),),
            (Fin(0.24, 0.95, 0.11, peak=0.5, sweep=0.1, spines=14),), 0.14,
            "spots", 8, 0.09),
)  # fmt: skip
