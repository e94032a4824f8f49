"""Experiments, one file each, and what carries them out.

An experiment's file, named as it is (photo_noise.py has three), asks its question and holds its presets. The others:

    experiment.py    what an experiment is: settings, presets, what it measures, figures
    models.py        settings of what is trained, and of how it is sampled
    workshop.py      what these stand for: streams, untrained networks, samples
    trainings.py     training all that a run trains, side by side
    rehearsal.py     what a run would take on this machine

    study.py         settings of a study of one contaminated law
    laboratory.py    what these stand for: laws, training sets, exact optima
    subjects.py      what a study measures: methods and references
    measuring.py     a subject, measured with every metric that applies
    fields.py        what figures are drawn from besides samples
    pipeline.py      the path of a study: train, sample, measure

    image_study.py, image_laboratory.py, image_pipeline.py    the same of images

    sweep.py         a study at every point of a grid, inside one run
    grid.py          the axes of a grid
"""
