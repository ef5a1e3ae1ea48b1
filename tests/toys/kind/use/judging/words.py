"""The panel of words: how often letters stand where they stand."""

from genloom.api import load
from genloom.data.source import load as load_data
from genloom.measures.figure import around
from genloom.use.judging.panel import Judgement, Panel, cost_of
from genloom.use.sampling.draw import draw


class WordPanel(Panel):
    """Measures samples by the mean place of each letter."""

    shown = {"half": "half"}  # noqa: RUF012

    def __init__(self, runs, data, test, terms):
        self.data, self.terms = load_data(data or runs[0].record["data"]["source"]), terms
        half = len(self.data.x) // 2
        self.rows = {"half": self.measure(self.data.x[:half])}

    def measure(self, x):
        away = float((x.mean(0) - self.data.x.mean(0)).abs().mean())
        return {"letters": around(away, 0.01, len(x), f"{len(x)} words")}

    def judge(self, run):
        folder = run.checkpoint(self.terms.checkpoint)
        model = load(run, folder.name)
        x = draw(model, 200, self.terms.seed)
        cost, about = cost_of(run, folder, model, 200, 1.0), {"seed": self.terms.seed}
        return Judgement(run, self.measure(x), self.rows, cost, ["read"], about, self, x)

    def intro(self, judgement):
        return "200 words."

    def pages(self, judgements):
        return [f"<p>{' '.join(self.data.shape.decode(judgements[0].seen[:9]))}</p>"]
