"""Q-learning on games, with a network whose weight matrices keep their initial norms."""
