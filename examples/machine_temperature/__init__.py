"""A machine part that runs hot or cold: a streaming forecaster on the node, whose residuals warn, with or without a
cloud."""

from examples.machine_temperature import report, watch
from examples.own import Own

OWN = Own(report.NAME, report.FILES[0], report.BARS, watch.play, report.FILES[1:])
