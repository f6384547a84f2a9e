"""Language modelling: a decoder-only transformer, judged by bits per byte of unseen text."""
