"""A vision-language model is asked about drawings: what it sees, and where it says things are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Literal

from riveg.errors import UserError
from riveg.geometry.boxes import box_iou
from riveg.labels import USUAL_LABELS, Label
from riveg.llm.conversation import Chat, ChatAnswer, NoAnswer
from riveg.llm.endpoint import Endpoint
from riveg.llm.images import sent_size
from riveg.probe.drawings import Drawing, Drawings
from riveg.probe.questions import (
    BoxQuestions,
    colour_request,
    mention_of,
    names_colour,
    names_word,
    schema_request,
    word_request,
)
from riveg.probe.verdict import Candidate, FrameVerdict, Stated, is_more_than_chance, judge_frames
from riveg.protocols import AnswerOrIssue, Grounder, PartialAnswer
from riveg.runs.building import build_context, open_models
from riveg.stages.grounders.chat import ChatGrounderConfig
from riveg.types import ImageSize, Issue, Region

_TRIES = 3
"""For faults of a server: someone waits for the answer."""

Answered = ChatAnswer | NoAnswer

SchemaKept = Literal["kept", "not-kept", "not-asked"]
"""``kept``: the answer has the schema's form, of which the question says nothing; ``not-asked``:
the endpoint says ``structured: false``."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a model makes of one scene.

    Args:
        size: Of the image as sent.
        tokens: That the image takes, as the server counts them; ``None``: it does not count.
        reads_word: Whether the printed word is read.
        asked: Things whose boxes were asked for.
        stated: The first box of each thing that has one.
    """

    size: ImageSize
    tokens: int | None
    reads_word: bool
    asked: int
    stated: tuple[Stated, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """The boxes of ``ground: chat`` in the frame that was found, which its prompt then names.

    Args:
        asked: Things whose boxes were asked for.
        found: Those with a box in the frame.
        mean_iou: Of the first boxes with the truth, in [0, 1]; 0 for a thing without a box.
    """

    asked: int
    found: int
    mean_iou: float


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What is known of a model after the questions.

    Args:
        colours: Right answers, and squares: one of each colour.
        first_tokens: Whether the server gives the likeliest first tokens.
        all_tokens: Whether it gives the log-probabilities of all tokens.
        schema: Whether it keeps to a JSON schema.
        seen: Each scene.
        frames: In which frame its boxes are, where none was named.
        told: Its boxes where that frame was named; ``None``: no frame fits that riveg reads.
        unanswered: Why questions have no answer, with how many.
    """

    colours: tuple[int, int]
    first_tokens: bool
    all_tokens: bool
    schema: SchemaKept
    seen: tuple[Seen, ...]
    frames: FrameVerdict
    told: Told | None
    unanswered: Mapping[str, int]

    @property
    def sees(self) -> bool | None:
        """Whether more colours are named than a guesser would name; ``None``: cannot tell."""
        right, asked = self.colours
        return is_more_than_chance(right, asked, choices=asked)


@dataclass(frozen=True, slots=True)
class _Surroundings:
    llm: Mapping[str, Endpoint]
    base: Path = field(default_factory=Path)
    labels: tuple[Label, ...] = USUAL_LABELS


@dataclass(frozen=True, slots=True)
class _Answers:
    """All answers before a frame is known; ``boxes`` in the order of the scenes' targets."""

    wordless: Answered
    colours: Sequence[Answered]
    words: Sequence[Answered]
    schema: Answered
    boxes: Sequence[Answered]


def probe(
    name: str,
    endpoint: Endpoint,
    candidates: Sequence[Candidate],
    say: Callable[[str], None],
) -> ProbeReport:
    """Asks a model about drawings; nothing is written.

    Args:
        name: What a system calls the model.
        endpoint: How it is reached; a server is started where it says so, and stopped.
        candidates: Frames that its boxes may be in.
        say: Told what is waited for.

    Raises:
        UserError: If the server takes no such requests, or answers none about a picture.
        ServerGone: If it cannot be reached.
    """
    drawings = Drawings()
    endpoint = endpoint.model_copy(update={"tries": min(_TRIES, endpoint.tries), "re_asks": 0})
    with open_models({name: endpoint}, None, drawings, say) as (models, _):
        answers = _ask(name, models[name], drawings, say)
        seen = tuple(_seen(drawings, answers, endpoint.picture_side))
        stated = [one for scene in seen for one in scene.stated]
        frames = judge_frames(stated, candidates, endpoint.picture_side)
        told = None
        if frames.alike and (setting := frames.alike[0].setting) is not None:
            say("asking for the boxes once more, in the frame that was found")
            config = ChatGrounderConfig(llm=name, frame=setting, resize=frames.alike[0].resize)
            surroundings = _Surroundings({name: endpoint})
            grounder = config.build(build_context(surroundings, drawings, chats=models))
            told = _ask_told(grounder, drawings)
    every = [answers.wordless, *answers.colours, *answers.words, answers.schema, *answers.boxes]
    given = [one.response for one in answers.colours if one.response is not None]
    return ProbeReport(
        colours=(_right(names_colour, answers.colours, drawings.squares), len(answers.colours)),
        first_tokens=any(len(response.first_token) > 1 for response in given),
        all_tokens=any(response.tokens for response in given),
        schema=_schema_kept(answers.schema, endpoint),
        seen=seen,
        frames=frames,
        told=told,
        unanswered=Counter(one.message for one in every if isinstance(one, NoAnswer)),
    )


def _ask(name: str, chat: Chat, drawings: Drawings, say: Callable[[str], None]) -> _Answers:
    """Everything at once, after one question without a picture and one with it."""
    (wordless,) = chat.ask([word_request(None)])
    if isinstance(wordless, NoAnswer) and wordless.response is None:
        raise UserError(f"llm {name}: no answer: {wordless.message}")
    colours = [colour_request(square) for square in drawings.squares]
    (first,) = chat.ask(colours[:1])
    if isinstance(first, NoAnswer) and first.response is None:
        raise UserError(
            f"llm {name}: words are answered, a picture is not; is it a vision-language model? "
            f"{first.message}"
        )
    questions = BoxQuestions(chat)
    requests = [
        *colours[1:],
        *map(word_request, drawings.scenes),
        schema_request(),
        *(questions.prepared(mention_of(*thing)).request for thing in drawings.things),
    ]
    say(f"asking {len(requests)} questions about drawings")
    answers = iter(chat.ask(requests))
    return _Answers(
        wordless,
        colours=[first, *islice(answers, len(colours) - 1)],
        words=[*islice(answers, len(drawings.scenes))],
        schema=next(answers),
        boxes=[*answers],
    )


def _seen(drawings: Drawings, answers: _Answers, picture_side: int) -> Iterator[Seen]:
    boxes = iter(answers.boxes)
    for scene, word in zip(drawings.scenes, answers.words, strict=True):
        stated = [
            Stated(answer.value[0], target.box, scene.size)
            for target, answer in zip(scene.targets, boxes, strict=False)
            if isinstance(answer, ChatAnswer) and answer.value
        ]
        yield Seen(
            size=sent_size(scene.size, picture_side),
            tokens=_image_tokens(word, answers.wordless),
            reads_word=bool(_right(names_word, [word], [scene])),
            asked=len(scene.targets),
            stated=tuple(stated),
        )


def _image_tokens(shown: Answered, wordless: Answered) -> int | None:
    """What the picture adds to the tokens of the same question."""
    counts = [one.prompt_tokens for one in (shown, wordless) if isinstance(one, ChatAnswer)]
    with_image, without = counts if len(counts) == 2 else (None, None)
    return None if with_image is None or without is None else with_image - without


def _right(
    names: Callable[[str, str], bool], answers: Sequence[Answered], drawings: Sequence[Drawing]
) -> int:
    """How many answers name what is drawn."""
    return sum(
        isinstance(answer, ChatAnswer) and names(answer.response.text, drawing.answer)
        for answer, drawing in zip(answers, drawings, strict=True)
    )


def _schema_kept(answer: Answered, endpoint: Endpoint) -> SchemaKept:
    if not endpoint.structured:
        return "not-asked"
    return "kept" if isinstance(answer, ChatAnswer) and answer.path == "schema" else "not-kept"


def _ask_told(grounder: Grounder, drawings: Drawings) -> Told:
    """The boxes once more, by the stage itself."""
    answers = grounder.ground([mention_of(*thing) for thing in drawings.things])
    firsts = [next(iter(_regions(answer)), None) for answer in answers]
    overlaps = [
        0.0 if region is None else box_iou(region.box, target.box)
        for region, (_, target) in zip(firsts, drawings.things, strict=True)
    ]
    return Told(len(firsts), len(firsts) - firsts.count(None), fmean(overlaps))


def _regions(answer: AnswerOrIssue[tuple[Region, ...]]) -> tuple[Region, ...]:
    if isinstance(answer, Issue):
        return ()
    return answer.answer if isinstance(answer, PartialAnswer) else answer
