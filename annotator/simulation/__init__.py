"""Simulations: what each query strategy would have cost on a fully labelled corpus."""

from annotator.simulation.arms import Arm, Replay, SimulatedCorpus, queue_arm, read_arms
from annotator.simulation.replay import Report, Simulation
from annotator.simulation.report import describe_simulation, draw_chart, put_summary, table

__all__ = [
    "Arm",
    "Replay",
    "Report",
    "SimulatedCorpus",
    "Simulation",
    "describe_simulation",
    "draw_chart",
    "put_summary",
    "queue_arm",
    "read_arms",
    "table",
]
