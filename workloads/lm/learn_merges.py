"""Learns the vocabulary that ships, from the training documents, into `merges.json`."""

from __future__ import annotations

import json

from workloads.lm.bpe import FILE, learn_from
from workloads.lm.data import SUMMARIES, documents

if __name__ == "__main__":
    learned = learn_from(documents(SUMMARIES.fetch())["train"])
    FILE.write_text(json.dumps(learned, separators=(",", ":")) + "\n")
