"""An annotated dataset as a folder of training data: a file a split."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from riveg.config.system import SystemConfig
from riveg.datasets.dataset import Dataset, usable_gold
from riveg.datasets.unread_gold import UnreadGold
from riveg.errors import UserError, suggest
from riveg.exports.folder import filling
from riveg.exports.trainers.forms import (
    TRAINERS,
    BoxType,
    Setting,
    TrainerForm,
    dataset_info,
    file_name,
    own_placeholders,
)
from riveg.exports.trainers.rows import RowImage, RowMaker, TrainingRow, open_rows
from riveg.files import write_atomically, writing
from riveg.lessons.making import SEED, TaskName
from riveg.llm.images import sent_size
from riveg.stages.rerankers.chat import ChatRerankerConfig
from riveg.stages.rewriters.chat import ChatRewriterConfig
from riveg.types import Issue


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What was written.

    Args:
        rows: Rows of each file.
        left_out: Why others are missing.
        notes: What to know before training on it, one line each.
    """

    rows: Mapping[Path, int]
    left_out: tuple[Issue, ...]
    notes: tuple[str, ...]


def write_training_data(
    dataset: Dataset,
    config: SystemConfig,
    task: TaskName,
    trainer: str,
    out: Path,
    *,
    box_type: BoxType = "real",
    seed: int = SEED,
    expressions: Sequence[Path] = (),
) -> TrainingData:
    """Writes ``SPLIT.jsonl`` for each split; what was written is removed again if that fails.

    Args:
        dataset: Samples with gold.
        config: The system whose stage is to be trained: its prompt, frame and types.
        task: The stage.
        trainer: One of :data:`~riveg.exports.trainers.forms.TRAINERS`.
        out: A folder that is empty or not there.
        box_type: How ms-swift is told boxes.
        seed: Of a reranker's candidates.
        expressions: Runs whose expressions a rewriter learns.

    Raises:
        UserError: If the folder holds files, the dataset has no gold, or no boxes for answers that
            hold some, the system has no such stage or does not know a type, or no row could be
            made.
    """
    form = TRAINERS[trainer]
    if not dataset.has_gold:
        raise UserError(f"{dataset.name}: has no gold, which a model could learn from")
    with open_rows(config, task, dataset.image_roots, seed=seed, expressions=expressions) as maker:
        common = _setting(maker, dataset, trainer, box_type)
        settings = [replace(common, split=split) for split in dataset.splits]
        llm = maker.block.llm
        work = _Writing(maker, form, config.llm[llm].picture_side)
        info = dataset_info(settings) if trainer == "llama-factory" else None
        with filling(out):
            rows = {
                out / file_name(setting.split): work.write(part, setting, out)
                for part, setting in zip(dataset.by_split(), settings, strict=True)
            }
            if not any(rows.values()):
                first = f": {work.left_out[0].message}" if work.left_out else ""
                raise UserError(f"{dataset.name}: no row can be made of its samples{first}")
            if info is not None:
                text = json.dumps(info, indent=2, ensure_ascii=False)
                write_atomically(out / "dataset_info.json", [text.encode()])
    advice = [f"{trainer}: {line}" for one in settings if (line := form.advice(one)) is not None]
    notes = (*work.notes(f"llm.{llm}"), *maker.lesson.remarks(), *dict.fromkeys(advice))
    return TrainingData(rows, tuple(work.left_out), notes)


def _setting(maker: RowMaker, dataset: Dataset, trainer: str, box_type: BoxType) -> Setting:
    """What the rows of all splits share.

    Raises:
        UserError: If answers hold boxes, and the dataset has none or the trainer cannot write them.
    """
    block = maker.block
    shows_images = maker.lesson.needs_image is not None
    setting = Setting(dataset.name, block.stage, split="", shows_images=shows_images)
    if isinstance(block, ChatRewriterConfig):
        return replace(setting, has_examples=block.prompt_form == "turns")
    if isinstance(block, ChatRerankerConfig):
        return setting
    if not dataset.has_boxes:
        raise UserError(f"{dataset.name}: has no boxes, which a model could learn from")
    known = TRAINERS[trainer].frames
    if known is not None and block.frame not in known:
        raise UserError(
            f"{block.stage}.frame: {trainer} cannot write boxes in {block.frame}; "
            f"{suggest(block.frame, known)}"
        )
    return replace(setting, frame=block.frame, resize=block.resize, box_type=box_type)


@dataclass(slots=True)
class _Writing:
    """Writes files and counts what a user should know of them."""

    maker: RowMaker
    form: TrainerForm
    picture_side: int
    left_out: list[Issue] = field(default_factory=list)
    _unread: UnreadGold = field(default_factory=UnreadGold)
    _counts: Counter[str] = field(default_factory=Counter)
    _longest: int = 0

    def write(self, part: Dataset, setting: Setting, out: Path) -> int:
        """Writes the file of one split; how many rows there are."""
        number = 0
        target = out / file_name(setting.split)
        with writing(target), target.open("w", encoding="utf-8", newline="\n") as handle:
            for row in self._rows(part):
                line = self.form.row(row, number, setting)
                handle.write(json.dumps(line, ensure_ascii=False) + "\n")
                number += 1
        return number

    def _rows(self, part: Dataset) -> Iterator[TrainingRow]:
        for row in part.unique_rows(annotated=True):
            self._unread.add(row)
            gold = usable_gold(row)
            if row.sample.issues:
                self.left_out += row.sample.issues
            elif gold is None:
                self._counts["unannotated"] += 1
            else:
                for made in self.maker.rows(row.sample, gold, row.place):
                    if isinstance(made, Issue):
                        self.left_out.append(made)
                    elif (issue := self._unfit(made, row.place)) is not None:
                        self.left_out.append(issue)
                    else:
                        self._look_at(made.image)
                        yield made

    def _unfit(self, row: TrainingRow, where: str) -> Issue | None:
        """Why the trainer would misread a row, if it would."""
        stage = self.maker.block.stage
        words = [*own_placeholders(row)]
        if words:
            message = f"{where}: holds {words[0]}, which trainers replace"
            return Issue(stage, None, "placeholder", message)
        image = row.image
        if image is not None and image.is_turned and not self.form.heeds_exif:
            message = (
                f"{where}: {image.path.name} is stored turned and upright by its EXIF only, which "
                "the trainer does not heed; store it upright"
            )
            return Issue(stage, None, "turned-image", message)
        return None

    def _look_at(self, image: RowImage | None) -> None:
        """Notes an image that a system sends smaller than the trainer sees it, if boxes differ."""
        boxes = self.maker.lesson.boxes
        if image is None or boxes is None:
            return
        sent = sent_size(image.size, self.picture_side)
        if boxes.stated.extent(sent) != boxes.stated.extent(image.size):
            self._counts["smaller"] += 1
            self._longest = max(self._longest, *image.size)

    def notes(self, llm: str) -> Iterator[str]:
        """A line for each kind of thing that occurred."""
        yield from self._unread.notes()
        if self._counts["unannotated"]:
            yield f"posts without annotation, so without a row: {self._counts['unannotated']}"
        if self._counts["smaller"]:
            yield (
                f"pictures longer than {llm}.picture_side: {self._counts['smaller']}; run the "
                f"trained model with --set {llm}.picture_side={self._longest}, so that it sees "
                "them as in training"
            )
