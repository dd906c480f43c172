"""What the loop's settings are in the words of transformers' ``Trainer``, and whether it can be."""

from __future__ import annotations

import os
from pathlib import Path

import torch
import transformers

from riveg.config.threads import count_cores
from riveg.errors import UserError
from riveg.training.loop_settings import LoopSettings

_SECONDS_TO_WAIT = 24 * 3600
"""One process evaluates, the others wait for it."""


def trainer_arguments(
    settings: LoopSettings, folder: Path, metric: str
) -> transformers.TrainingArguments:
    """The same in the Trainer's words; of several processes all have then found each other.

    Args:
        settings: The loop's.
        folder: For its checkpoints.
        metric: The figure on dev by which the best epoch is chosen; larger is better.

    Raises:
        UserError: As :func:`require_there`.
    """
    require_there(settings)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return transformers.TrainingArguments(
        output_dir=str(folder),
        use_cpu=_is_on_cpu(settings),
        bf16=settings.precision == "bf16",
        fp16=settings.precision == "fp16",
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulate,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup,
        max_grad_norm=settings.clip,
        seed=settings.seed,
        dataloader_num_workers=min(settings.workers, count_cores()),  # torch warns of more
        remove_unused_columns=False,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=3,
        logging_steps=10,
        logging_nan_inf_filter=False,
        report_to=list(settings.trackers) or "none",
        disable_tqdm=True,
        metric_for_best_model=metric,
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        ddp_timeout=_SECONDS_TO_WAIT,
    )


def require_there(settings: LoopSettings, key: str = "loop") -> None:
    """Makes sure that a loop's device, precision and trackers are to be had here.

    Args:
        settings: The loop's.
        key: Their name in the configuration.

    Raises:
        UserError: If one is not.
    """
    on_cpu = _is_on_cpu(settings)
    if on_cpu and settings.device == "cuda":
        raise UserError(
            f"{key}.device: cuda: torch sees no GPU here; {key}.device=cpu trains without"
        )
    if on_cpu and settings.precision == "fp16":
        raise UserError(f"{key}.precision: fp16 needs a GPU; on the CPU there is fp32 and bf16")
    available = {
        "tensorboard": transformers.integrations.is_tensorboard_available,
        "wandb": transformers.integrations.is_wandb_available,
    }
    for name in settings.trackers:
        if not available[name]():
            raise UserError(f"{key}.trackers: {name} is not installed: pip install {name}")


def _is_on_cpu(settings: LoopSettings) -> bool:
    return settings.device == "cpu" or not torch.cuda.is_available()
