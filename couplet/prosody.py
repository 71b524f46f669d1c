"""What a couplet obeys whoever wrote it: opposed tones, and parts of speech that match.

Verse has level tones (平) and oblique ones (仄). Of today's four tones the first two are level. Characters that had the
entering tone (入声) are oblique though many of them are level today; `ENTERING` holds the common ones of those.
Readings come from pypinyin and parts of speech from jieba, both of the extra `verse`.
"""

import warnings

import numpy as np

# common characters that are level today and had the entering tone
ENTERING = set(
    "一七八十吉直石白伯百柏泊薄博帛拍迫责泽择择宅窄格革隔阁国帼德得竹竺烛逐菊局曲屈屋哭读独毒牍犊熟叔淑足族俗服伏福幅蝠佛"
    "谷学觉角脚夺脱拨钵活滑猾杀察插答达搭塔踏发伐罚阀筏滞节结洁杰截劫接捷睫歇蝎叶协胁侠狭峡匣辖瞎狎压押鸭切贴跌叠蝶谍碟牒"
    "席习袭媳昔惜夕析息熄悉锡吸滴敌笛狄嫡涤积迹绩击激疾集急级及极籍辑即极棘脊籍职执植殖值织汁湿失识十什拾实食蚀石只掷"
    "出突忽惚哭窟骨勃渤没凸督卜扑仆濮璞朴缩刷说卓捉琢啄浊酌灼着缴托郭活合盒鸽割葛渴喝核鹤壳雪薛穴绝决诀掘橛爵嚼约削"
    "摘贼黑塞鸟墨勺芍夹颊荚揭秸憋瞥别撇铁捏贴绰戳接摺折哲辙辄舌涉拔缺则拂吃昨杂漆"
)
PARTS = "nvadmrqpcut"  # parts of speech by the first letter of jieba's tags; the others are one


def load():
    """Return (function of a str that returns whether each character is oblique, function that returns its tags).

    Either is None if the package that it needs is not installed.
    """
    return _tones(), _tags()


def _tones():
    try:
        from pypinyin import Style, lazy_pinyin
    except ImportError:
        return None

    def oblique(line):
        """Return a list with True for oblique, False for level and None for a character without a reading."""
        tones = lazy_pinyin(list(line), style=Style.TONE3, neutral_tone_with_five=True, errors=lambda c: list(c))
        known = [tone[-1] if len(tone) > 1 and tone[-1] in "12345" else None for tone in tones]
        return [
            None if tone in (None, "5") else c in ENTERING or tone in "34" for c, tone in zip(line, known, strict=True)
        ]

    return oblique


def _tags():
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jieba 0.42 is older than this Python
            import jieba
            import jieba.posseg
    except ImportError:
        return None
    jieba.setLogLevel(60)  # it would report how it loads its dictionary

    def tags(line):
        """Return the part of speech of the word that each character stands in, a letter for each."""
        return [tag[0] if tag[0] in PARTS else "x" for word, tag in jieba.posseg.lcut(line) for _ in word]

    return tags


def parallelism(couplets, oblique, tags):
    """Return how parallel some couplets are.

    Args:
        couplets: list of (upper, lower), two str of equal length.
        oblique: function, see `load`, or None.
        tags: function, see `load`, or None.

    Returns:
        dict: "opposed tones", the share of the second, fourth, ... characters whose tones are opposed, of those whose
        tones are known; "level end", the share of lower lines that end in a level tone; "same part of speech", the
        share of characters. What needs a missing package is left out, and what has no case.
    """
    result = {}
    if oblique:
        tones = [(oblique(upper), oblique(lower)) for upper, lower in couplets]
        pairs = [(a, b) for u, l in tones for a, b in zip(u[1::2], l[1::2], strict=True) if None not in (a, b)]
        ends = [l[-1] for _, l in tones if l[-1] is not None]
        result |= {"opposed tones": [a != b for a, b in pairs], "level end": [not end for end in ends]}
    if tags:
        result["same part of speech"] = [a == b for u, l in couplets for a, b in zip(tags(u), tags(l), strict=True)]
    return {name: float(np.mean(cases)) for name, cases in result.items() if cases}
