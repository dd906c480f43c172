"""What riveg trains, and the one loop in which it trains.

``trainees.py`` names the trainees. One called ``crf-tagger`` begins in the module that its entry
names; what it needs lies beside that under the same first name: ``_settings`` (the configuration),
``_data`` (rows), ``_trainee`` (what the loop asks), ``_export`` (the folder), ``_card``.

``training.py`` goes from a configuration to a folder with its card; ``loop.py``, with ``loop_*``,
``batches.py``, ``checkpoints.py`` and ``weights.py``, trains by gradients; ``data.py`` reads
annotated posts; ``logistic.py``, ``reliability.py`` and ``temperature.py`` fit and measure
probabilities.
"""
