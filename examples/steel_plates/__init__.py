"""Faults of steel plates, by what a camera and the line tell of each: a table with rare classes, an inspector's truths,
and a furnace that is replaced."""

from examples.own import Own
from examples.steel_plates import report, turn_of_loop

OWN = Own(report.NAME, report.TABLE, report.BARS, turn_of_loop.play)
