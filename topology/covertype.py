"""What grows here? Forest cover of cells of 30 x 30 m, seven types, from maps alone (Covertype).

The label comes when somebody has been there: within hours for most cells, never for some.
"""

from datetime import timedelta
from functools import partial

from river import drift, linear_model, multiclass, preprocessing

from streamml import Check, Classification, ErrorDrift, Events, Feedback, Model, Range, Topology, Transform

AREAS = [f"Wilderness_Area{i}" for i in range(1, 5)]
SOILS = [f"Soil_Type{i}" for i in range(1, 41)]
SHADES = ["Hillshade_9am", "Hillshade_Noon", "Hillshade_3pm"]
DISTANCES = [f"Horizontal_Distance_To_{place}" for place in ("Hydrology", "Roadways", "Fire_Points")]
HEIGHTS = ["Elevation", "Vertical_Distance_To_Hydrology"]


def softmax() -> object:
    return preprocessing.StandardScaler() | linear_model.SoftmaxRegression()


def one_vs_rest() -> object:
    return preprocessing.StandardScaler() | multiclass.OneVsRestClassifier(linear_model.LogisticRegression())


topology = Topology(
    name="covertype",
    partitions=4,
    events=Events("covertype.event", id="id", time="time"),
    rules=(
        *(Range(name, -500, 4402) for name in HEIGHTS),  # metres; no summit of the Rocky Mountains is higher
        *(Range(name, 0) for name in DISTANCES),
        *(Range(name, 0, 255) for name in SHADES),
        Range("Aspect", 0, 360),
        Range("Slope", 0, 90),
        Check("one_area", lambda cell: sum(cell[name] for name in AREAS) == 1),
        Check("one_soil", lambda cell: sum(cell[name] for name in SOILS) == 1),
    ),
    transform=Transform(*HEIGHTS, "Aspect", "Slope", *DISTANCES, *SHADES, *AREAS, *SOILS),
    target=Classification(1, 2, 3, 4, 5, 6, 7),
    models=(Model("softmax", softmax), Model("ovr", one_vs_rest)),
    feedback=Feedback(
        "covertype.label",
        id="id",
        label="Cover_Type",
        time="time",
        horizon=timedelta(days=2),
        late="quarantine",
        doubled="quarantine",
    ),
    # The file runs over the map, so cells are like their neighbours: hence a delta far below the usual 0.002.
    detectors=(ErrorDrift("error", partial(drift.ADWIN, delta=1e-9)),),
)
