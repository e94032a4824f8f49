"""Sweeps over many processes and machines: a file of settings, cells, jobs, one table of results.

    plan.py       the file -> its cells, complete configurations
    folder.py     where cells are kept, and what has become of each
    job.py        a cell's command line, as an engine runs it
    engines.py    where jobs run: this machine, or Slurm, both through submitit
    carrying.py   all cells of a plan, from where they are to their end
    gathering.py  the results of all run folders below a folder as one table

A sweep inside one run, a study at every point of its `grid`, is experiments/sweep.py; both read a grid alike.
"""
