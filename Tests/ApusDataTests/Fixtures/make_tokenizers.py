#!/usr/bin/env python3
"""Makes the tokenizers of these tests and what the `tokenizers` library encodes with them.

Needs the Python package tokenizers (made with 0.23) and the Debian package bible-kjv.
usage: make_tokenizers.py [FOLDER]    writes *.json there, by default beside this script
       make_tokenizers.py FOLDER COUNT SEED    more random strings, for fuzzing by hand
"""

import json
import os
import random
import subprocess
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers.models import BPE

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

EXTRA = """Don't we'll they've I'm you're he'd it's. Größe, façade, naïve, Ελληνικά, русский язык, 日本語の文章。
def f(x):\n    return x * 2  # 12345 67 890\n\tfor i in range(10):\r\n\t\tprint(i)\n\n
שלום العربية हिन्दी ไทย 한국어 😀👩‍👩‍👧 1234567890 ٠١٢٣ ½ Ⅷ\n""" * 4


def training_text():
    verses = subprocess.run(["bible", "-f", "gen1:1-gen12:20"], capture_output=True, text=True, check=True)
    return "\n".join(line.split(" ", 1)[1] for line in verses.stdout.splitlines() if " " in line) + EXTRA


def train(pre_tokenizer, size):
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator([training_text()], trainer)
    return tokenizer


def gpt2():
    tokenizer = train(pre_tokenizers.ByteLevel(add_prefix_space=False), 800)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.add_tokens([
        AddedToken("<mask>", lstrip=True), AddedToken("<r>", rstrip=True, normalized=False),
        AddedToken("word", single_word=True), AddedToken("<m", normalized=True)])
    return tokenizer


def with_prefix_space():
    tokenizer = train(pre_tokenizers.ByteLevel(add_prefix_space=True), 400)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


def llama3():
    split = pre_tokenizers.Split(Regex(LLAMA3), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer = train(pre_tokenizers.Sequence([split, byte_level]), 800)
    # Whole entries that no merge makes, so that ignore_merges shows.
    content = json.loads(tokenizer.to_str())
    content["model"]["ignore_merges"] = True
    size = len(content["model"]["vocab"])
    for index, entry in enumerate(["Ġfirmamental", "ĠGodx", "zzz", "...", "ĉĉĉ"]):
        content["model"]["vocab"].setdefault(entry, size + index)
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.add_special_tokens(
        ["<|begin_of_text|>", "<|end_of_text|>"] + [f"<|reserved_special_token_{i}|>" for i in range(4)])
    bos = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(
            single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
            special_tokens=[("<|begin_of_text|>", bos)])])
    return tokenizer


def patterns():
    splits = [
        pre_tokenizers.Split(Regex(r"\p{N}{1,2}"), "isolated"),
        pre_tokenizers.Split(Regex("[一-龥぀-ゟ゠-ヿ]+"), "isolated"),
        pre_tokenizers.Split(
            Regex(r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
                  r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    tokenizer = train(pre_tokenizers.Sequence(splits), 600)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


FIXED = [
    "", " ", "  ", "\n", "\n\n", " \n", "\n ", " \n \n  x", "a", " a", "  a", "a  b", "a\nb", "a\n\nb", "a \n b",
    "In the beginning God created the heaven and the earth.", "Don't DON'T don’t we'll WE'LL 'Ve 'rE 'LL 'ſ 'D'd",
    "' 's ''s 'l 'r 'v '", "1 12 123 1234 12345 ٠١٢٣٤ ½Ⅷ² 1a2", "...\n\n...\r\n !!\n?", "\r\n\r\n \r\n\t x\r",
    "x\u00a0y \u00a0 z\u00a0", "a\u2028b \u2028 c", "a\u0085b\u0085\u0085", "\u180e \u200b\u200bx \ufeffy",
    "e\u0301 a\u0300\u0301 \u0301x", "日本語 日本語の文章。 漢字かな交じり文", "😀 👩‍👩‍👧‍👦 🇩🇪x",
    "\x00\x01\x7f \x1b[0m", "\t\tfor i in range(10):\n\t\t\tprint(i)\n", "zzz ... Godx firmamental", " " * 50 + "x",
    "a" * 300, "ab" * 200 + " " + "the" * 80, "<|endoftext|>", "a<|endoftext|>b", "<|begin_of_text|>x<|end_of_text|>",
    "a <mask> b", "a   <mask>b", "<r>   b <r>", "word words sword word, word", "<mask <m<mask>", "_word word_ éword",
    "\U000323af \U0001fbf9 \U00033479 \ua7cb \u1c89", "ﬀ ﬁ ß ẞ ſ K", "x\u3000\u3000y", "\u1680a\u2000\u200ab \u205f",
]

ALPHABETS = [
    "abcdefghij THEthe  ", " \t\n\r\u000b\u000c\u0085\u00a0\u2028\u2029\u3000ab.", "0123456789٠١٢½Ⅷa ", "'stmdSTMDreveLLll ſ",
    "éäöüßñçøÅ ", "αβγ абв שלום عرب हिन ไทย 한국", "日本語漢字かなカナ。、 ", "😀👍🏽👩‍👧🇩🇪 \ufe0f", "e\u0301\u0300\u0308\u20dd a",
    "!?.,;:-_()[]{}<>|/\\@#$%^&*+=~`\"' \n", "\x00\x01\x02\x1f\x7f a", "\u180e\u200b\u200c\u200d\ufeff\u2060 a",
]
PIECES = ["<|endoftext|>", "<mask>", "<r>", "word", "<m", "<|begin_of_text|>", " God", "the", "'s", "'LL", "\r\n", "  "]


def random_text(random_source):
    parts = []
    for _ in range(random_source.randint(1, 8)):
        kind = random_source.random()
        if kind < 0.15:
            parts.append(random_source.choice(PIECES))
        elif kind < 0.3:
            limit = random_source.choice([0x80, 0x800, 0x3100, 0x10000, 0x34000, 0x110000])
            points = [random_source.randrange(limit) for _ in range(random_source.randint(1, 10))]
            parts.append("".join(chr(p) for p in points if not 0xD800 <= p < 0xE000))
        elif kind < 0.6:
            mixed = "".join(random_source.sample(ALPHABETS, 3))
            parts.append("".join(random_source.choice(mixed) for _ in range(random_source.randint(1, 20))))
        else:
            letters = random_source.choice(ALPHABETS)
            parts.append("".join(random_source.choice(letters) for _ in range(random_source.randint(1, 20))))
    return "".join(parts)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 150
    source = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    texts = FIXED + [random_text(source) for _ in range(count)]
    made = {"gpt2": gpt2(), "prefix_space": with_prefix_space(), "llama3": llama3(), "patterns": patterns()}
    cases = {"texts": texts, "tokens": {}, "withSpecialTokens": {}, "decoded": {}}
    for name, tokenizer in made.items():
        path = os.path.join(folder, f"{name}.json")
        tokenizer.save(path, pretty=False)
        if name == "prefix_space":  # the older form of merges: "a b"
            content = json.load(open(path, encoding="utf-8"))
            content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
            json.dump(content, open(path, "w", encoding="utf-8"), ensure_ascii=False)
        cases["tokens"][name] = [tokenizer.encode(t, add_special_tokens=False).ids for t in texts]
        cases["withSpecialTokens"][name] = [tokenizer.encode(t).ids for t in texts[:20]]
        cases["decoded"][name] = [
            tokenizer.decode(ids, skip_special_tokens=True) for ids in cases["tokens"][name]]
    with open(os.path.join(folder, "cases.json"), "w", encoding="ascii") as file:
        json.dump(cases, file, separators=(",", ":"))


if __name__ == "__main__":
    main()
