"""Speed as ratios: each figure compares two things in one run on one machine."""
