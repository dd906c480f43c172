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
    r"(?:i'm|i am|we're|we are) (?:so |very |really |truly |terribly )?sorry",
    r"(?:my )?(?:sincere )?apologies|i apologi[sz]e|unfortunately|regrettably",
    r"lo (?:siento|lamento)|lamentablemente|desafortunadamente|desgraciadamente",
    r"desculpe|sinto muito|lamento|infelizmente|(?:je suis )?désolée?|malheureusement",
    r"es tut mir leid|tut mir leid|entschuldigung|leider|mi (?:dispiace|spiace)|purtroppo",
    r"het spijt me|helaas|tyvärr|beklager|przepraszam|przykro mi|niestety",
    r"üzgünüm|özür dilerim|maaf|xin lỗi|извините|простите|к сожалению",
    r"क्षमा करें|माफ़ करें",
)
AFTER_APOLOGIES = (
    r"\W*\Z|[,.;:!\u2013\u2014-]",
    r" (?:but|however|for|about|that|to|i|i'm|this|there|it|no|not|we|as)\b",
    r" (?:pero|no|mais|je|aber|ich|kann|mas|não|ma|non|maar|ik|jag|nie|ale|saya|но|я)\b",
)
"""What goes on as an apology; "I'm Sorry album cover" does not."""

SORRY = (
    r"sorry,? (?:but|however|i|i'm|there|it|we|not|for|about that|that i|as an?)\b",
    r"sorry,? (?:this|no|the) (?:image|picture|photo|information|description|person)\b",
)
"""An apology by its next words: "Sorry, a poster by Beyonce" is none."""

MACHINES = (
    r"(?:as|being) an? (?:ai\b|artificial intelligence|large language|language model)",
    r"(?:as|being) an? (?:text-based|multimodal)",
    r"i(?:'m| am) (?:just |only )?an? (?:ai\b|artificial|large language|language model|text-based)",
    r"como (?:un |uma? )?(?:modelo de (?:lenguaje|linguagem)|ia\b|inteligencia)",
    r"en tant qu(?:e |')(?:ia\b|intelligence|modèle|assistant)",
    r"als (?:eine? )?(?:ki\b|künstliche|sprachmodell)|come (?:un )?(?:modello linguistico|ia\b)",
    r"作为(?:一个|一名|一種)?(?:ai|人工智能|大?型?语言模型)",
    r"как (?:ии|языковая модель|искусственный)",
)

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
    r" know (?:who|what|which|that|the|this|him|her|them|enough|anything|any)\b",
    r" help (?:with|you|identify|to)\b| (?:see|tell|know|help)(?:\W*\Z|[,.;])",
)
"""What a model cannot do; "I can't breathe" is no refusal."""

_IMAGE = r"(?:image|picture|photo|post|text|caption)"
_UNSEEN = (
    r"(?:visible|shown|seen|depicted|pictured|present|identifiable|recogni[sz]able|discernible"
    rf"|identified|determined|visually (?:identifiable|represented)|in the {_IMAGE})"
)
_SUBJECT = (
    r"(?!(?:an?|one|two|some|many) )"
    r"(?:(?!(?:who|whose|that|which|whom|where|with)\b)[^\s.,;]+ ){1,6}"
)
"""What a statement is about: a name or "the person", not a thing of which the phrase tells more."""

NOTHING_SEEN = (
    r"(?:it(?: is|'s) )?(?:not possible|impossible) to (?:identif|determin|tell|say|see|know)",
    r"(?:it(?: is|'s) )?(?:not possible|impossible) to (?:recogni|describ)",
    r"(?:unable|not able|failed) to (?:identif|determin|recogni[sz]|describ|assist|provid|comply)",
    r"(?:unable|not able|failed) to (?:see|view|process|access|answer|tell|help|discern|find)",
    r"(?:can ?not|can't|could not|couldn't) (?:identif|determin|recogni[sz]|describ|discern)",
    r"(?:can ?not|can't|could not|couldn't) be (?:identif|determin|seen|described|recogni)",
    r"not (?:clearly |directly |actually )?(?:visible|shown|depicted|pictured|present|visually)\b",
    r"not (?:identifiable|discernible|determinable|recogni[sz]able|applicable|available)\b",
    rf"not (?:provided|specified|enough information|mentioned|described|known|in the {_IMAGE})\b",
    r"no (?:visual |relevant |further |specific |such )?(?:image|picture|photo|description"
    r"|information|data|caption|expression|content|context)s?(?: (?:is|was|are|were|has been))?"
    r"(?: (?:available|provided|given|found|attached|shown|visible|present|supplied|to)\b|\W*\Z)",
    rf"there (?:is|are) (?:no|not enough) (?:visible|{_IMAGE}|information|description|visual)",
    r"there (?:is|are) (?:no|not enough) (?:indication|context)",
    r"(?:insufficient|not enough) (?:information|context|detail|data)",
    rf"(?:the|this|that) (?:provided |given )?{_IMAGE} (?:does not|doesn't|fails to)"
    r" (?:show|contain|depict|include|provid|display|featur|identif|appear|mention|specif|reveal)",
    rf"{_SUBJECT}(?:(?:is|are|was|were) not|isn't|aren't)"
    rf" (?:clearly |directly |actually )?{_UNSEEN}\b",
    rf"{_SUBJECT}(?:can ?not|can't) be {_UNSEEN}\b",
    r"(?:(?:his|her|the|their) )?identity (?:is )?(?:unknown|not)",
)

ELSEWHERE = (
    r"no (?:puedo|es posible|se puede|estoy (?:autorizad|en condiciones)|se ve en la imagen)",
    r"no (?:(?:es|está) )?(?:visible|aplica|disponible|identificable|aparece en)",
    r"je ne (?:peux|suis|sais|vois)\b|il (?:n'est pas|est im)possible|impossible (?:de |d')",
    r"(?:non|pas) (?:visible|applicable|disponible|identifiable)",
    r"ich (?:kann|darf|bin)\b.{0,60}\b(?:nicht|kein\w*|niemanden|unmöglich)\b",
    r"nicht (?:sichtbar|zutreffend|verfügbar|erkennbar|bekannt|zu (?:erkennen|sehen)|im bild)",
    r"não (?:posso|consigo|é possível|(?:é )?visível|aplicável|disponível|identificad)",
    r"non (?:posso|sono in grado|riesco|è possibile|(?:è )?visibile|applicabile|disponibile)",
    r"ik kan\b.{0,60}\bniet\b|niet (?:zichtbaar|van toepassing|beschikbaar|te zien)",
    r"jag kan\b.{0,40}\binte\b|inte synlig|ikke synlig",
    r"nie (?:mogę|dotyczy|widać|jest widoczn)|niewidoczn",
    r"(?:я )?не (?:могу|вижу|видно|виден|видна|применимо|указано|определено|удалось|изображ)",
    r"(?:很|非常|十分)?(?:抱歉|对不起|對不起)|我(?:无法|不能|無法|看不到|没有办法|不知道)",
    r"(?:无法|無法|不能)(?:识别|識別|确定|確定|辨认|辨認|提供|判断|判斷|看到|回答|描述)",
    r"(?:图|圖|照)(?:片|像)?(?:中|里|上)?(?:没有|沒有|未|不可见|看不到|无法)",
    r"申し訳|すみません|ごめんなさい|恐れ入りますが",
    r".{0,60}(?:特定|識別|判別|確認|回答|お答え|提供|お手伝い)(?:は|が|も)?でき(?:ません|ない)",
    r".{0,30}(?:わかりません|分かりません|見えません|写っていません|映っていません)",
    r"죄송|미안하지만|.{0,60}(?:식별|확인|제공|답변|알|볼|판단)(?:할)? ?수 ?(?:가 )?없",
    r".{0,20}보이지 않",
    r"(?:عذر|آسف|أعتذر|نأسف)|لا (?:أستطيع|يمكنني|يمكن)|غير (?:مرئي|متاح|متوفر|قابل)",
    r"मुझे खेद|मैं .{0,60}नहीं (?:कर )?सकत",
    r"(?:ben )?.{0,60}(?:tanımlayam|belirleyem|yardımcı olam)\w*",
    r"tôi không thể|không (?:thể|nhìn thấy|áp dụng|xác định)",
    r"saya tidak (?:dapat|bisa)|tidak (?:dapat|bisa|terlihat|tersedia|berlaku)",
)
"""Refusals in other languages than English, with and without an apology."""
