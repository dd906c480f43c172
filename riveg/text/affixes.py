"""Case endings and prefixes that some scripts write onto a name without any sign between.

Bengali "ঠাকুরের" is "ঠাকুর" with the ending of the genitive, Hebrew "בירושלים" is "in Jerusalem". No
cut between letters would part them everywhere (the ending's vowel is written onto the name's last
letter), so the name's word is the whole one, as in the data sets of these languages. Latin,
Cyrillic and Greek endings are not listed: they stand in too many words that hold another name.
"""

from __future__ import annotations

import unicodedata

_ENDINGS = """
    Bengali, Assamese:
    র ের এর য়ের রই েরই কে রে তে েতে ে য় দের েদের রা েরা গুলো টি টা টির টার টিকে ও ই েও ৰ ৰে ক ত লৈ
    Gujarati:
    ના ની નું નો ને નાં માં થી એ માંથી
    Marathi, Nepali:
    ने ंनी नी ला ंना चा ची चे च्या ंचा ंची ंचे ंच्या त मध्ये हून साठी ले लाई को का की मा बाट सँग हरू
    Odia:
    ର ରେ କୁ ରୁ ଙ୍କ ଙ୍କୁ ଙ୍କର ଠାରୁ
    Tamil:
    க்கு ற்கு ை ில் ின் ுக்கு ால் ிடம் ுடன் ோடு ும் ிலிருந்து ுடைய ாக
    யை யில் யின் யால் யிடம் யுடன் யோடு யும் யிலிருந்து யுடைய யாக யுக்கு
    வை வில் வின் வால் விடம் வுடன் வோடு வும் விலிருந்து வுடைய வாக வுக்கு
    Telugu:
    లో కి కు ను ని తో లోని లోనే నుంచి నుండి కోసం పై గా లకు యొక్క
    Kannada:
    ಲ್ಲಿ ನಲ್ಲಿ ದಲ್ಲಿ ಯಲ್ಲಿ ಿನಲ್ಲಿ ಿಗೆ ಗೆ ಕ್ಕೆ ಅನ್ನು ನ್ನು ಯನ್ನು ವನ್ನು ನನ್ನು ನ ದ ಯ ಿನ ಿಂದ ಯಿಂದ ದಿಂದ ರಿಗೆ ರನ್ನು
    Malayalam:
    ിൽ യിൽ വിൽ ത്തിൽ ിലെ യിലെ ത്തിലെ ന്റെ ിന്റെ വിന്റെ ത്തിന്റെ യുടെ ുടെ ിന് ന് ക്ക് യ്ക്ക് െ യെ നെ ിനെ വിനെ
    ും യും വും ോട് യോട് ിലേക്ക് യിലേക്ക്
    Sinhala:
    ගේ ට ගෙන් ෙන් ේ යේ වල
    Korean, in data that has its own tokens:
    은 는 이 가 을 를 의 에 에서 에게 에게서 에는 에서는 에도 께서 로 으로 와 과 이랑 랑 하고
    도 만 까지 부터 이나 나 이다 입니다 이라는 라는 씨 씨는 씨가 씨의 님 님이 님은 님의
"""
_PREFIXES = """
    Arabic:
    و ف ب ل ك وب ول وك فب فل
    Hebrew:
    ו ב ל מ ה ש כ וב ול ומ וה וש וכ שב של שה לכ
"""
LONGEST_AFFIX = 24
"""Characters of an ending or prefix, with those that are not seen."""
_BEFORE_ENDING, _BEHIND_PREFIX = 2, 3
"""Fewest letters of a name that something is written onto; shorter ones stand in many words."""

_VIRAMAS = tuple("\u094d\u09cd\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca")
"""Marks of a consonant without vowel: the vowel of an ending takes their place."""
_SHORT_U = tuple("\u0bc1\u0c41\u0cc1\u0d41")
"""In Tamil, Telugu, Kannada, Malayalam: the vowel of an ending takes its place, too."""


def _listed(table: str) -> frozenset[str]:
    words = (word for line in table.splitlines() if ":" not in line for word in line.split())
    return frozenset(unicodedata.normalize("NFKD", word) for word in words)


_ENDING = _listed(_ENDINGS)
_PREFIX = _listed(_PREFIXES)


def stems(name: str) -> dict[str, bool]:
    """How a name may stand before an ending, and whether the ending then begins with a vowel.

    >>> list(stems("லால்")) == ["லால்", "லால"], stems("Ann")
    (True, {'Ann': False})
    """
    found = {name: False}
    if name.endswith((*_VIRAMAS, *_SHORT_U)):
        found[name[:-1]] = name.endswith(_SHORT_U)
    return found


def are_affixes(before: str, name: str, after: str, *, vowel: bool = False) -> bool:
    """Whether what is written before and behind a name, in one word, is all prefix and ending.

    Args:
        before: Letters before the name, decomposed; empty where the name begins the word.
        name: The name, or how it stands before an ending.
        after: Letters behind it, decomposed.
        vowel: Whether they have to begin with the sign of a vowel.

    >>> are_affixes("", "ঢাকা", "র"), are_affixes("ב", "ירושלים", ""), are_affixes("", "Ann", "ual")
    (True, True, False)
    """
    composed = unicodedata.normalize("NFC", name)
    letters = sum(unicodedata.category(letter)[0] == "L" for letter in composed)
    if before and (before not in _PREFIX or letters < _BEHIND_PREFIX):
        return False
    if after and (after not in _ENDING or letters < _BEFORE_ENDING):
        return False
    if vowel and unicodedata.category(after[:1] or " ")[0] != "M":
        return False
    return bool(before or after)
