"""The variant `+ctr`: click-through rates by DCN-V2, judged by AUC, as BARS-CTR defines them."""
