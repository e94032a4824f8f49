"""The benchmark: a fixed, versioned suite of tasks on which every objective is scored in the same way.

tasks.py      what the tasks are, and the version they are of
entries.py    who takes part, and the runs of an entry: one folder a task
records.py    what was measured of whom: a table that can be shared, and put beside others
scores.py     scores, comparisons with plain denoising, and the table
page.py       all of it as a page, with what a score cannot tell
"""
