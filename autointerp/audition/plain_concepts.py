"""The easy and medium concepts: decided by a regular expression over a few characters."""

from __future__ import annotations

from autointerp.audition.concept import Concept, concept

__all__ = ["PLAIN"]

_ACCENTED = "áàâäéèêëíìîïóòôöúùûüñç"


def _alone(pattern: str) -> str:
    """Between white space or the text's ends: so 08:56, utf-8 and 4.6e+0 hold no number."""
    return rf"(?<!\S)(?:{pattern})(?!\S)"


PLAIN: tuple[Concept, ...] = (
    concept(
        "arabic",
        "script",
        ("Arabic letters", r"[\u0621-\u064a]+"),
        "arabic",
        "hebrew",
        broader=("letters of a script written from right to left: Arabic or Hebrew", r"[\u05d0-\u05ea\u0621-\u064a]+"),
    ),
    concept(
        "hebrew",
        "script",
        ("Hebrew letters", r"[\u05d0-\u05ea]+"),
        "hebrew",
        narrower=("Hebrew words in which the letter shin (ש) occurs", r"[\u05d0-\u05ea]*\u05e9[\u05d0-\u05ea]*"),
    ),
    concept(
        "greek",
        "script",
        ("Greek letters", r"[\u03b1-\u03c9]+"),
        "greek",
        "cyrillic",
        broader=("Greek or Cyrillic letters", r"[\u03b1-\u03c9]+|[\u0410-\u044f]+"),
    ),
    concept(
        "cyrillic",
        "script",
        ("Cyrillic words, with or without a capital letter", r"[\u0410-\u044f]+"),
        "cyrillic",
        narrower=("Cyrillic words that begin with a capital letter", r"[\u0410-\u042f][\u0430-\u044f]+"),
    ),
    concept(
        "armenian",
        "script",
        ("Armenian letters", r"[\u0561-\u0586]+"),
        "armenian",
        "georgian",
        broader=("Armenian or Georgian letters", r"[\u0561-\u0586]+|[\u10d0-\u10f0]+"),
    ),
    concept(
        "accents",
        "script",
        ("words with an accented Latin letter, such as é, ü or ñ", rf"[a-z]*[{_ACCENTED}][a-z]*"),
        "accented",
        narrower=("words with the letter e under an accent: é, è, ê or ë", r"[a-z]*[éèêë][a-z]*"),
    ),
    concept(
        "year",
        "pattern",
        ("four digits between white space, such as a year", _alone(r"\d{4}")),
        "number4",
        "number_long",
        broader=("four or more digits between white space", _alone(r"\d{4,}")),
    ),
    concept(
        "prefixed_hex",
        "pattern",
        ("hexadecimal numbers written with 0x in front, between white space", _alone(r"0x[0-9a-fA-F]+")),
        "prefixed_hex",
        narrower=(
            "hexadecimal numbers with 0x in front, between white space, with a capital letter among their digits",
            _alone(r"0x[0-9a-f]*[A-F][0-9a-fA-F]*"),
        ),
    ),
    concept(
        "hex_run",
        "pattern",
        (
            "at least twelve lower-case hexadecimal digits (0 to 9 and a to f) between white space, such as a digest",
            _alone(r"[0-9a-f]{12,}"),
        ),
        "hex_run",
        "mixed_run",
        broader=(
            "at least twelve lower-case letters and digits between white space",
            _alone(r"[0-9a-z]{12,}"),
        ),
    ),
    concept(
        "base64",
        "pattern",
        ("base64 text between white space that ends in one or two equals signs", _alone(r"[A-Za-z0-9+/]{16,}={1,2}")),
        "base64",
        narrower=("base64 text between white space that ends in two equals signs", _alone(r"[A-Za-z0-9+/]{16,}==")),
    ),
    concept(
        "dna",
        "pattern",
        ("DNA: at least eight of the letters A, C, G and T between white space", _alone(r"[ACGT]{8,}")),
        "dna",
        "capitals",
        broader=("at least eight capital letters of any kind between white space", _alone(r"[A-Z]{8,}")),
    ),
    concept(
        "secure_url",
        "pattern",
        ("web addresses that begin with https://", r"https://\S+"),
        "https",
        "http",
        broader=("web addresses that begin with http:// or https://", r"https?://\S+"),
    ),
    concept(
        "email",
        "pattern",
        ("e-mail addresses", r"[\w.]+@[\w.]+\.[a-z]{2,}"),
        "email",
        narrower=("e-mail addresses that end in .org", r"[\w.]+@[\w.]+\.org\b"),
    ),
    concept(
        "iso_date",
        "pattern",
        ("dates of the form 2021-03-15 between white space", _alone(r"\d{4}-\d\d-\d\d")),
        "iso_date",
        "slash_date",
        broader=(
            "dates of the form 2021-03-15 or 15/03/2021 between white space",
            _alone(r"\d{4}-\d\d-\d\d|\d\d/\d\d/\d{4}"),
        ),
    ),
    concept(
        "version",
        "pattern",
        ("three or more numbers joined by dots, such as 3.11.2, between white space", _alone(r"\d+(?:\.\d+){2,}")),
        "version",
        "decimal",
        broader=(
            "two or more numbers joined by dots, such as 3.11 or 3.11.2, between white space",
            _alone(r"\d+(?:\.\d+)+"),
        ),
    ),
    concept(
        "clock",
        "pattern",
        ("times of the form 12:30:45 between white space", _alone(r"\d\d:\d\d:\d\d")),
        "long_time",
        "time",
        broader=("times of the form 12:30 or 12:30:45 between white space", _alone(r"\d\d:\d\d(?::\d\d)?")),
    ),
    concept(
        "money",
        "pattern",
        ("amounts of dollars between white space, such as $20 or $20.50", _alone(r"\$\d+(?:\.\d\d)?")),
        "money",
        narrower=("amounts of dollars with cents between white space, such as $20.50", _alone(r"\$\d+\.\d\d")),
    ),
    concept(
        "path",
        "pattern",
        ("file paths of two or more parts, each after a slash", r"(?<![\w/])(?:/[\w.-]+){2,}"),
        "path",
        narrower=("file paths that begin with /usr", r"(?<![\w/])/usr(?:/[\w.-]+)+"),
    ),
    concept(
        "closing_parenthesis",
        "syntax",
        ("a closing parenthesis", r"\)"),
        narrower=("a closing parenthesis directly before a dot of any use or a comma", r"\)(?=[.,])"),
    ),
    concept(
        "contraction",
        "syntax",
        (
            "runs of letters that end in n't, such as don't or isn't, with a straight or a curly apostrophe",
            r"[A-Za-z]+n['’]t(?![A-Za-z])",
        ),
        broader=(
            "an apostrophe, straight or curly, directly between two letters, with all letters that touch it",
            r"[A-Za-z]+['’][A-Za-z]+",
        ),
    ),
    concept(
        "after_full_stop",
        "syntax",
        (
            "a capital letter with small letters behind it that follows a dot and one space or line end",
            r"(?<=\.\s)[A-Z][a-z]+",
        ),
        broader=("any capital letter with small letters behind it", r"[A-Z][a-z]+"),
    ),
    concept(
        "capitals",
        "syntax",
        (
            "two or more capital letters with no small letter, digit or underscore at either end",
            r"(?<!\w)[A-Z]{2,}(?!\w)",
        ),
        broader=("runs of letters with a capital among them", r"[A-Za-z]*[A-Z][A-Za-z]*"),
    ),
    concept(
        "dunder",
        "syntax",
        ("names that begin and end with two underscores, such as __init__", r"\b__[A-Za-z]\w*__\b"),
        broader=("names that begin with an underscore", r"\b_\w+\b"),
    ),
    concept(
        "hyphenated",
        "syntax",
        (
            "lower-case letters, one hyphen, lower-case letters, with white space on both sides, such as well-known",
            _alone("[a-z]+-[a-z]+"),
        ),
        broader=("a hyphen or minus sign, with the lower-case letters that touch it", r"[a-z]*-[a-z]*"),
    ),
    concept(
        "colon_at_end",
        "syntax",
        ("a colon at the end of a line that is followed by another line", r":(?=\n)"),
        broader=("a colon", r":"),
    ),
    concept(
        "quoted_word",
        "syntax",
        ("letters, digits and underscores, and nothing else, between two double quotation marks", r'"\w+"'),
        broader=("a double quotation mark, with the word it touches", r'\w*"\w*'),
    ),
    concept(
        "index",
        "syntax",
        ("digits alone in square brackets, with or without a minus sign, such as [0]", r"\[-?\d+\]"),
        broader=("anything in square brackets", r"\[[^\[\]]*\]"),
    ),
    concept(
        "not_before_comma",
        "conjunction",
        ("the word 'not' where a comma directly follows the next word", r"\b(?i:not)\b(?=\s\w+,)"),
        broader=("the word 'not'", r"\b(?i:not)\b"),
    ),
    concept(
        "parenthesis_and_capital",
        "conjunction",
        ("an opening parenthesis directly before a capital letter", r"\((?=[A-Z])"),
        broader=("an opening parenthesis", r"\("),
    ),
    concept(
        "the_before_vowel",
        "conjunction",
        ("the word 'the' directly before a word that begins with a, e, i, o or u", r"\b(?i:the)\b(?=\s(?i:[aeiou]))"),
        narrower=("the word 'the' directly before a word that begins with e or i", r"\b(?i:the)\b(?=\s(?i:[ei]))"),
    ),
    concept(
        "return_constant",
        "conjunction",
        ("the word 'return' directly before None, True or False", r"\breturn\b(?=\s(?:None|True|False)\b)"),
        broader=("the word 'return'", r"\breturn\b"),
    ),
    concept(
        "url_with_digit",
        "conjunction",
        ("web addresses in which a digit occurs", r"https?://\S*\d\S*"),
        "https",
        "http",
        broader=("web addresses", r"https?://\S+"),
    ),
    concept(
        "greek_and_number",
        "conjunction",
        ("a Greek word directly before a number", r"[\u03b1-\u03c9]+(?= \d)"),
        "greek_number",
        "greek",
        broader=("Greek words", r"[\u03b1-\u03c9]+"),
    ),
    concept(
        "is_before_not",
        "shared_token",
        ("the word 'is' directly before the word 'not'", r"\b(?i:is)\b(?=\s(?i:not)\b)"),
        broader=("the word 'is'", r"\b(?i:is)\b"),
    ),
    concept(
        "as_after_such",
        "shared_token",
        ("the word 'as' directly after the word 'such'", r"(?<=\b(?i:such)\s)(?i:as)\b"),
        "such_as",
        "as_alone",
        broader=("the word 'as'", r"\b(?i:as)\b"),
    ),
    concept(
        "of_the",
        "shared_token",
        ("the word 'of' directly before the word 'the'", r"\b(?i:of)\b(?=\s(?i:the)\b)"),
        broader=("the word 'of'", r"\b(?i:of)\b"),
    ),
    concept(
        "an",
        "shared_token",
        ("the word 'an', capitalised or not", r"\b[Aa]n\b"),
        broader=("the words 'a' and 'an', capitalised or not", r"\b[Aa]n?\b"),
    ),
    concept(
        "self_dot",
        "shared_token",
        ("the word 'self' directly before a dot", r"\bself\b(?=\.)"),
        broader=("the word 'self'", r"\bself\b"),
    ),
    concept(
        "double_equals",
        "shared_token",
        ("exactly two equals signs in a row", r"(?<!=)==(?!=)"),
        broader=("one equals sign, or two in a row", r"(?<!=)==?(?!=)"),
    ),
    concept(
        "to_be",
        "shared_token",
        ("the word 'to' directly before the word 'be'", r"\b(?i:to)\b(?=\s(?i:be)\b)"),
        broader=("the word 'to'", r"\b(?i:to)\b"),
    ),
    concept(
        "even_number",
        "subtle",
        ("digits alone between white space that make an even number", _alone(r"\d*[02468]")),
        "number",
        broader=("digits alone between white space", _alone(r"\d+")),
    ),
    concept(
        "doubled_vowel",
        "subtle",
        ("runs of letters with aa, ee, ii, oo or uu among them", r"[A-Za-z]*(?:aa|ee|ii|oo|uu)[A-Za-z]*"),
        broader=("runs of letters with any small letter doubled among them", r"[A-Za-z]*([a-z])\1[A-Za-z]*"),
    ),
    concept(
        "same_ends",
        "subtle",
        (
            "three or more lower-case letters between white space, the first and the last of them the same",
            _alone(r"([a-z])[a-z]+\1"),
        ),
        narrower=(
            "six or more lower-case letters between white space, the first and the last of them the same",
            _alone(r"([a-z])[a-z]{4,}\1"),
        ),
    ),
    concept(
        "comma_before_and",
        "subtle",
        ("a comma directly before the word 'and' or 'or'", r",(?=\s(?:and|or)\b)"),
        narrower=("a comma directly before the word 'and'", r",(?=\sand\b)"),
    ),
    concept(
        "ed_at_pause",
        "subtle",
        (
            "runs of letters ending in -ed directly before a comma or a dot that white space follows",
            r"[A-Za-z]+ed(?=[.,]\s)",
        ),
        broader=("runs of letters ending in -ed", r"[A-Za-z]+ed(?![A-Za-z])"),
    ),
    concept(
        "ing",
        "subtle",
        ("runs of letters ending in -ing", r"[A-Za-z]+ing(?![A-Za-z])"),
        narrower=("runs of eight or more letters ending in -ing", r"[A-Za-z]{5,}ing(?![A-Za-z])"),
    ),
)
