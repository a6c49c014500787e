"""Time series on their way to rows: when each reading was taken, which readings count, windows by the clock, and a
holdout that no window reaches into.

`timestamps` reads texts, `clock` turns a clock on the wall into Unix time, `cleaning` says which readings count, `grid`
lays them on the series' own steps, `windows` cuts rows, `splitting` keeps training and holdout apart, `conversion`
does all of it in turn. All pure: files and zone databases are the callers'.
"""
