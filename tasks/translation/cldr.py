"""Bundled data: phrases of CLDR in English and another language."""

from tasks.translation.config import CldrPhrasesDataConfig
from tasks.translation.data import PairData, PairSplit, clean
from tasks.translation.phrases import draw_phrases


class CldrPhrasesData(PairData):
    """Dates, amounts, lists and names from the package Babel; no value is in two parts."""

    def setup(self) -> None:
        """Draws the phrases."""
        options = self.config.data
        assert isinstance(options, CldrPhrasesDataConfig)
        sizes = {"train": options.train_size, "val": options.val_size, "test": options.test_size}
        parts = draw_phrases(options.target_language, sizes, options.split_seed)
        self.finish(
            {
                part: PairSplit([clean(p.source) for p in phrases], [clean(p.target) for p in phrases])
                for part, phrases in parts.items()
            }
        )
