"""Words that hold a sentence together ("us", "who", "der", "les") and are no names by themselves.

A language model that writes ``US`` for the "us" of a text has made a name of such a word. English
ones count in every text; those of another language where two of them are in the text, or, if it has
other letters than Latin ones, one.
"""

from __future__ import annotations

import re
from functools import lru_cache

_ENGLISH_WORDS = """
    a about above after again against ah all also am an and another any are as at away be
    because been before behind being below between both but by can cant could did do does
    doing done dont down during each eh either else ever every few for from get go got had has
    have having he her here hers hes hey hi him his how i id if ill im in into is it its ive
    just let lets like lot many may maybe me might mine more most much must my near never no
    none nor not nothing now of off oh ok on once one only onto or other our ours out over own
    per r rather same shall she shes should since so some still such than that the thee their
    theirs them then there these they thing this those though through till to together too
    toward u under until up upon ur us very was we were what when where which while who whom
    whose why will with within without would yes yet you your yours
"""

_LATIN_WORDS = """
    German:
    aber als am an auch auf aus bei bin bis da das dass dem den der des die dir doch du ein
    eine einem einen einer er es für hat ich ihr im in ist ja kein man mein mich mir mit nach
    nicht noch nur ob oder sein sich sie sind so um und uns vom von vor war was wenn wer wie
    wir wo zu zum zur über
    French:
    au aux avec car ce ces cette dans de des du elle en est et eux il ils je la le les leur
    lui ma mais me mes moi mon ne nos notre nous on ont ou où par pas pour qu que qui sa sans
    se ses si son sont sur ta te tes toi ton tu un une vos votre vous à
    Spanish:
    al como con cuando de del dos el ella ellos en era es ese esta este fue ha hay la las le
    les lo los me mi mis muy más ni no nos o para pero por que quien se ser si sin sobre son
    su sus sí te tu un una uno y ya yo
    Portuguese:
    ao aos as até com como da das de dela dele do dos e ela ele em era essa esse esta este eu
    foi há isso já mais mas me meu na nas nem no nos não o os ou para pela pelo por que quem
    se sem ser seu sua são só também te tem um uma você é
    Italian:
    a ai al alla anche che chi ci con da dal de dei del della di e era gli ha ho i il in io la
    le lei lo loro lui ma mi mia mio ne nel nella noi non o per più qui se sei si sono su sua
    suo tu un una uno vi è
    Dutch:
    aan al als bij dan dat de den der deze die dit door een en er ge haar had heb heeft het
    hij hoe ik in is je maar me met mij mijn na naar niet nog nu of om onder ons ook op over
    te tot uit van veel voor was wat we wel wie wij zijn zo
    Scandinavian:
    att av de den det din du eller en er ett från för han har hon hun i ikke inte jag jeg kan
    med men mig min när och og om på sig som til till under var vi är å
    Polish:
    ale co czy dla do i ja jak je jego jej jest już lub ma mi my na nie o od on ona oni po pod
    się są ta tak to tu ty w we wy z za ze że
    Turkish:
    ama ben bir biz bu da de en gibi ile için kadar ki mi mı ne o onlar sen siz var ve yok çok
    şu
    Indonesian:
    ada akan aku dan dari dengan di dia ini itu juga kami kamu ke kita mereka oleh pada saya
    sudah tidak untuk yang
"""

_OTHER_WORDS = """
    Russian:
    а без бы был в во вы да для до его ее если есть её же за и из или им их к как ко кто ли
    мне мы на не нет ни но о об он она они от по при с со так то ты у уже что это я
    Greek:
    από αυτό για δεν εγώ εσύ η και μας με μου να ο οι που σας σε σου στη στην στο τα την της
    τι το τον του των όταν
    Arabic:
    أن أو إلى إن ال الى على عن في كل لا لم لن ما مع من هذا هذه هل هو هي و يا
    Persian:
    آن از است این با بر به تا در را ما من هر هم و که یا
    Hebrew:
    אל אם את גם הוא היא זאת זה כי כל לא מה מי על עם של
    Hindi:
    और का की के को तो था थी थे न ने पर भी में यह या वह से हम ही है हैं
    Urdu:
    اور بھی تو تھا سے میں نہ نے وہ پر کا کو کی کے ہم ہی ہیں ہے یا یہ
"""

_ENGLISH = frozenset(_ENGLISH_WORDS.split())
_OTHERS = tuple(
    (frozenset(words.split()), fewest)
    for languages, fewest in ((_LATIN_WORDS, 2), (_OTHER_WORDS, 1))
    for words in re.split(r"\w+:", languages)[1:]
)
_WORD = re.compile(r"[^\W\d_]+")


@lru_cache(maxsize=64)
def function_words(text: str) -> frozenset[str]:
    """Function words of the languages that a text is written in, in small letters.

    >>> "us" in function_words("tell US"), "mit" in function_words("studying at MIT")
    (True, False)
    >>> "mit" in function_words("Ich komme mit dir")
    True
    """
    words = {word.casefold() for word in _WORD.findall(text)} - _ENGLISH
    return _ENGLISH.union(
        *(language for language, fewest in _OTHERS if len(words & language) >= fewest)
    )
