"""Generated documents of five kinds: base64, hex, DNA, dates and URLs, bare and inside English sentences.

They make the known case studies (a feature for base64, for DNA, for hexadecimal) exist without any download.
Every document has a random stream of its own, named by its kind and number.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from autointerp.records.document import Document
from autointerp.seeds import stream

__all__ = ["GENERATED_KINDS", "N_DOCUMENTS_PER_KIND", "iter_generated_documents"]

N_DOCUMENTS_PER_KIND = 400
SEED = 20231004

WORD_LIST = (
    "access account address agent archive backup branch buffer cache channel client cluster code column command "
    "commit config content copy core data default delete device digest document domain download driver edit engine "
    "entry error event export field file filter folder font format frame function graph group guest header history "
    "home host image import index input item job key label language layer level library limit line link list local "
    "lock login main map master media member memory menu message method mirror mode module monitor name network news "
    "node note number object office option order output package page parser patch path photo pipe plugin point policy "
    "port profile project proxy query queue record region release remote report request result review root route "
    "schema search section server service session shop signal site source stack stage state store stream style "
    "summary support switch system table target task team test text theme thread ticket token tool topic update "
    "upload user value version video view volume web wiki window worker zone"
)
WORDS = WORD_LIST.split()
HOSTS = ("example.org", "example.com", "docs.example.net", "api.example.com", "shop.example.org", "192.0.2.17:8080")
MONTH_LIST = "January February March April May June July August September October November December"
MONTHS = MONTH_LIST.split()
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

SENTENCES: dict[str, tuple[str, ...]] = {
    "base64": (
        "The attachment was sent as {} and could not be opened.",
        "Set the header to 'Basic {}' before the request.",
        "The certificate begins with {} on the first line.",
        "Decode the string {} to see what was stored in it.",
        'The page embeds the picture as src="data:image/png;base64,{}" in the text.',
    ),
    "hex": (
        "The checksum of the archive is {} as the page says.",
        "We went back to commit {} because the later one failed.",
        "The colour of the border is #{} in the new theme.",
        "The program stopped at address 0x{} with an error.",
        "Its digest, {}, did not match the one we expected.",
    ),
    "dna": (
        "The primer {} binds to the first part of the gene.",
        "We found the sequence {} in two of the three samples.",
        "Between the two sites lies {} and nothing else.",
        "A deletion turns the read into {} after the marker.",
    ),
    "dates": (
        "The meeting was moved to {} because of the holiday.",
        "It was first released on {} and last changed a year later.",
        "The log shows an error at {} and none after that.",
        "Everything sent before {} was lost.",
    ),
    "urls": (
        "See {} for the full list of options.",
        "The file can be fetched from {} without a password.",
        "The old address, {}, now leads to the new site.",
        "Open {} in a browser and sign in.",
    ),
}


def iter_generated_documents(n_per_kind: int = N_DOCUMENTS_PER_KIND) -> Iterator[Document]:
    """`n_per_kind` documents of each kind, ids such as `generated/dna/007`; odd numbers are English sentences."""
    for kind, draw in GENERATED_KINDS.items():
        for number in range(n_per_kind):
            generator = stream(SEED, "builtin-corpus", kind, number)
            text = _sentences(generator, kind, draw) if number % 2 else _lines(generator, draw)
            yield Document(id=f"generated/{kind}/{number:03d}", source=f"generated/{kind}", text=text)


def _lines(generator: np.random.Generator, draw: Callable[[np.random.Generator, int], str]) -> str:
    n_lines = int(generator.integers(3, 9))
    return "\n".join(draw(generator, int(generator.integers(40, 77))) for _ in range(n_lines)) + "\n"


def _sentences(generator: np.random.Generator, kind: str, draw: Callable[[np.random.Generator, int], str]) -> str:
    frames = SENTENCES[kind]
    chosen = [frames[int(generator.integers(len(frames)))] for _ in range(int(generator.integers(4, 9)))]
    return " ".join(frame.format(draw(generator, int(generator.integers(8, 41)))) for frame in chosen) + "\n"


def _pick(generator: np.random.Generator, items: Sequence[str]) -> str:
    return items[int(generator.integers(len(items)))]


def _base64(generator: np.random.Generator, n_characters: int) -> str:
    """Half of it random bytes, half encoded English words, as in the wild."""
    n_bytes = max(6, n_characters * 3 // 4)
    if generator.random() < 0.5:
        raw = generator.bytes(n_bytes)
    else:
        raw = " ".join(_pick(generator, WORDS) for _ in range(n_bytes // 4 + 1)).encode()[:n_bytes]
    return base64.b64encode(raw).decode()


def _hex(generator: np.random.Generator, n_characters: int) -> str:
    digits = generator.bytes(max(4, n_characters // 2)).hex()
    style = int(generator.integers(4))
    if style == 0 and n_characters > 40:  # a dump; too long for the middle of a sentence
        return " ".join(digits[i : i + 2] for i in range(0, len(digits), 2))
    return digits.upper() if style == 1 else digits


def _dna(generator: np.random.Generator, n_characters: int) -> str:
    return "".join("ACGT"[i] for i in generator.integers(4, size=n_characters))


def _dates(generator: np.random.Generator, n_characters: int) -> str:
    """About one date per 20 characters asked for, in one of six forms."""
    return ", ".join(_date(generator) for _ in range(1 + n_characters // 25))


def _date(generator: np.random.Generator) -> str:
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=int(generator.integers(60 * 365 * 86400)))
    day, month, weekday = moment.day, MONTHS[moment.month - 1], DAYS[moment.weekday()]
    forms = (
        f"{moment:%Y-%m-%d}",
        f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        f"{day} {month} {moment.year}",
        f"{weekday}, {month} {day}, {moment.year}",
        f"{moment:%d/%m/%Y %H:%M}",
        f"{weekday[:3]}, {moment:%d} {month[:3]} {moment.year} {moment:%H:%M:%S} GMT",
    )
    return _pick(generator, forms)


def _urls(generator: np.random.Generator, n_characters: int) -> str:
    scheme = "http" if generator.random() < 0.3 else "https"
    url = f"{scheme}://{_pick(generator, ('www.', '', ''))}{_pick(generator, WORDS)}.{_pick(generator, HOSTS)}/"
    while len(url) < n_characters:
        url += _pick(generator, WORDS) + _pick(generator, ("/", "-", "_", "/"))
    url = url.rstrip("/-_")
    ending = int(generator.integers(4))
    if ending == 0:
        return url + _pick(generator, (".html", ".json", ".png", ".tar.gz", ".pdf"))
    if ending == 1:
        return f"{url}?{_pick(generator, WORDS)}={int(generator.integers(10000))}&page={int(generator.integers(1, 40))}"
    return url


GENERATED_KINDS: dict[str, Callable[[np.random.Generator, int], str]] = {
    "base64": _base64,
    "hex": _hex,
    "dna": _dna,
    "dates": _dates,
    "urls": _urls,
}
