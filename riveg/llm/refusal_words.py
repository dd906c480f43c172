"""Words of refusals in the languages that models answer in most, as regular expressions.

All are in small letters, with plain apostrophes and single blanks; each list is one alternative
a line. They are matched at the beginning of an answer.
"""

from __future__ import annotations

NOTHING = frozenset(
    word.strip()
    for line in (
        "n/a | n.a | na | none | null | nil | nothing | unknown | undefined | unspecified | no",
        "unidentified | unidentifiable | unavailable | invisible | redacted | refused | tbd | tba",
        "not sure | not clear | not given | not found | not seen | not possible | no idea",
        "none of the above | empty | missing | absent | n. a | nan | false | error | unclear",
        "no answer | no response | no comment | no match | no entity | no one | nobody | no person",
        "to be determined | unknown person | unknown entity | unidentified person",
        "i'm sorry | i am sorry",
        "desconocido | desconocida | ninguno | ninguna | nada | sin datos | no aplicable | n/d",
        "inconnu | inconnue | aucun | aucune | rien | sans objet | indisponible",
        "unbekannt | keine | keiner | keines | nichts | keine angabe | keine angaben | k.a | k. a",
        "entfällt | desconhecido | desconhecida | nenhum | nenhuma",
        "sconosciuto | sconosciuta | nessuno | nessuna | niente",
        "onbekend | geen | niets | n.v.t | nvt | okänd | okänt | ingen | inget | ukjent | ukendt",
        "nieznany | nieznana | nieznane | brak | brak danych | bilinmiyor | bilinmeyen | yok",
        "неизвестно | неизвестный | неизвестная | нет | нет данных | н/д | ничего",
        "không rõ | không có | không biết | tidak diketahui | tidak ada",
        "未知 | 无 | 無 | 没有 | 沒有 | 不详 | 不詳 | 不明 | 不适用 | 不適用",
        "不可见 | 不可見 | 不清楚 | 不知道",
        "なし | 無し | 該当なし | ありません | 不明です",
        "없음 | 해당 없음 | 해당없음 | 알 수 없음 | 알수없음 | 미상 | 불명",
        "غير معروف | مجهول | لا يوجد | لا شيء | نامشخص",
        "अज्ञात | कोई नहीं | लागू नहीं | उपलब्ध नहीं | ไม่มี | ไม่ทราบ | άγνωστο | לא ידוע",
    )
    for word in line.split(" | ")
)
"""Answers that say, as a whole, that there is nothing."""

APOLOGIES = (
    r"(?:i'm|i am) (?:so |very |really |truly |terribly )?sorry",
    r"(?:my )?(?:sincere )?apologies|i apologi[sz]e|lo (?:siento|lamento)|sinto muito",
    r"je suis désolée?|es tut mir leid|tut mir leid|mi (?:dispiace|spiace)|het spijt me",
    r"przykro mi|özür dilerim|xin lỗi",
)
AFTER_APOLOGIES = (
    r"\W*\Z|[,.;:!\u2013\u2014-]",
    r" (?:but|however|for|about|that|i|i'm|this|there|it|no|not|we|as)\b",
    r" (?:pero|no|mais|je|aber|ich|kann|mas|não|ma|non|maar|ik|jag|nie|ale|saya|но|я)\b",
)
"""What goes on as an apology; "I'm Sorry album cover" does not."""

_MACHINE = (
    r"(?:ai\b|artificial intelligence|(?:large )?(?:\w+[- ])?language model|text-(?:based|only)"
    r"|multimodal|virtual assistant)"
)
MACHINES = (
    rf"(?:as|being) an? {_MACHINE}[^,.]{{0,40}}(?:, (?:i|we|my)\b|\W*\Z| (?:i|we) )",
    rf"i(?:'m| am) (?:just |only )?an? {_MACHINE}(?!-)",
    r"como (?:un |uma? )?(?:modelo de (?:lenguaje|linguagem)|ia\b|inteligencia)",
    r"en tant qu(?:e |')(?:ia\b|intelligence|modèle|assistant)",
    r"als (?:eine? )?(?:ki\b|künstliche|sprachmodell)|come (?:un )?(?:modello linguistico|ia\b)",
    r"作为(?:一个|一名|一種)?(?:ai|人工智能|大?型?语言模型)",
    r"как (?:ии|языковая модель|искусственный)",
)
"""What a model says of itself."""

UNABLE = (
    r" (?:can ?not|can't|could not|couldn't|won't|will not|do not|don't|should not|shouldn't)",
    r"(?: am|'m) (?:not able to|unable to|not (?:allowed|permitted|comfortable|designed))",
    r"(?: would|'d) rather not| (?:must|have to) decline| decline to",
)
"""What follows "I"."""

BETWEEN = r"(?: (?:to|directly|reliably|really|definitively|actually|accurately|visually))*"
ACTS = (
    r" (?:identif|determin|recogni[sz]|describ|assist|provid|comply|fulfil|access|view|process)",
    r" (?:generat|discern|verif|confirm|answer|speculat|guess|infer|offer|engage|discuss|share)",
    r" (?:be able|make (?:out|assumption|identification)|name\b|say\b|give\b|do (?:that|this))",
    r" have (?:access|enough|any|information|the ability|personal)",
    r" see (?:an?|any|the|this|that|him|her|them|who|images|pictures|anyone|anything)\b",
    r" tell (?:who|what|if|whether|from|which|the|you (?:who|what|which|how|if))\b",
    r" know (?:who|what (?:this|that|it|the)|which|that|the|this|him|her|them)\b",
    r" know (?:enough|anything|any)\b",
    r" help (?:with|you|identify|to)\b| (?:see|tell|know|help)(?:\W*\Z|[,.;])",
)
"""What a model cannot do; "I can't breathe" is no refusal."""

NOTHING_SEEN = (
    r"(?:it(?: is|'s) )?(?:not possible|impossible) to (?:identif|determin|tell|recogni|describ)",
    r"(?:unable|not able|failed) to (?:identif|determin|recogni[sz]|describ|assist|provid|comply)",
    r"(?:unable|not able|failed) to (?:see|view|process|access|answer|tell|help|discern|find)",
    r"no (?:visual |relevant |further |specific |such )?(?:image|picture|photo|description"
    r"|information|data|caption|expression|content|context)s? (?:is |was |are |were |has been )?"
    r"(?:available|provided|given|found|attached|shown|visible|present|supplied)\b",
    r"there (?:is|are) (?:no|not enough) (?:information|description|indication|context)",
    r"(?:insufficient|not enough) (?:information|context|detail|data)",
    r"(?:the|this|that) (?:provided |given )?(?:image|picture|photo|post|text|caption)"
    r" (?:does not|doesn't|fails to) (?:show|contain|depict|include|provid|display|featur|identif"
    r"|appear|mention|specif|reveal)",
)
"""Beginnings of sentences about an image that has not what is asked for."""
