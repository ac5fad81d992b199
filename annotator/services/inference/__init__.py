"""Predictions of a version, the scores of the pool, and the engines that compute them."""
