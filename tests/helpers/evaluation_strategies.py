"""Random cases for scorers: few words, labels and boxes, so that names repeat and boxes agree."""

from hypothesis import strategies as st

from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.types import Box, Region, Span

BOXES = (
    Box(0, 0, 100, 100),
    Box(0, 0, 100, 50),
    Box(0, 0, 100, 49),
    Box(200, 200, 300, 300),
)
LABELS = ("PER", "ORG")
FINE_LABELS = (None, "actor", "band")
SPANS = (Span(0, 1), Span(1, 2), Span(0, 2), Span(4, 5))
TEXTS = {SPANS[0]: "J", SPANS[1]: "K", SPANS[2]: "J K", SPANS[3]: "J"}

regions = st.one_of(
    st.none(),
    st.lists(st.sampled_from(BOXES), max_size=3).map(
        lambda boxes: tuple(Region(box) for box in boxes)
    ),
)


@st.composite
def predicted(draw: st.DrawFn) -> PredictedEntity:
    span = draw(st.sampled_from(SPANS))
    found = draw(regions)
    groundable = draw(st.sampled_from([None, True, False])) if found is None else bool(found)
    kept = span if draw(st.booleans()) else None
    label, fine = draw(st.sampled_from(LABELS)), draw(st.sampled_from(FINE_LABELS))
    return PredictedEntity(TEXTS[span], label, kept, groundable, found, fine_label=fine)


@st.composite
def annotated(draw: st.DrawFn) -> AnnotatedEntity:
    span = draw(st.sampled_from(SPANS))
    boxes = tuple(draw(st.lists(st.sampled_from(BOXES), max_size=2)))
    kept = span if draw(st.booleans()) else None
    label, fine = draw(st.sampled_from(LABELS)), draw(st.sampled_from(FINE_LABELS))
    return AnnotatedEntity(TEXTS[span], label, kept, fine, boxes)


cases = st.builds(
    Case,
    id=st.just("s"),
    predicted=st.lists(predicted(), max_size=5).map(tuple),
    gold=st.lists(annotated(), max_size=5).map(tuple),
)
