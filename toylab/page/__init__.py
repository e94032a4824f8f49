"""One page of HTML that shows a run, or compares several, and needs nothing else: `toylab report`.

    reading.py     run folders, checked: they may come from anybody
    facts.py       what a run asks, its settings, where it was made, the commands that repeat it, claims it touches
    comparing.py   several runs side by side, and what differs between them
    charts.py      the numbers behind the charts of the page
    pictures.py    a run's figures, embedded
    document.py    all of it, in the templates of templates/

The page is whole without JavaScript: tables, figures and facts are HTML. Scripts of its own sort tables and draw charts
with plotly.js, which is in the page, packed; a content security policy lets nothing else run or be loaded.
"""

from toylab.page.document import LIMIT, html
from toylab.page.reading import read

__all__ = ["LIMIT", "html", "read"]
