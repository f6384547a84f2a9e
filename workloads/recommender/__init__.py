"""Recommendation to cold users: films by two towers, judged by NDCG@100."""
