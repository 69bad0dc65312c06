"""Pictures of a census, as matplotlib figures.

Every function returns a `matplotlib.figure.Figure` that belongs to nobody: pyplot's global state is
neither read nor changed, nothing is shown, and ``figure.savefig(path)`` writes it; a notebook shows it after
``%matplotlib inline``. Names are drawn as
they are; no ``$`` in them starts a formula.
"""

from .dead import plot_dead
from .nnu import plot_nnu
from .ranges import plot_range
from .spectra import plot_spectrum

__all__ = ["plot_dead", "plot_nnu", "plot_range", "plot_spectrum"]
