"""Pages and texts as people have them, and what an annotator draws on each."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PAGES", "TEXTS", "Case"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a task shows, the words drawn by hand, and the words of a prediction of ours.

    ``nth`` says which of the places of ``drawn`` that can be seen is meant, from 0 on; ``how`` how
    the mouse goes: over the words, from right to left, or twice on one word.
    """

    shown: str
    drawn: str
    nth: int = 0
    predicted: str
    how: str = "drag"


_WORD = """<html xmlns:v="urn:schemas-microsoft-com:vml"
xmlns:o="urn:schemas-microsoft-com:office:office" xmlns="http://www.w3.org/TR/REC-html40">\r
<head>\r
<meta http-equiv=Content-Type content="text/html; charset=windows-1252">\r
<meta name=Generator content="Microsoft Word 15">\r
<title>Letter about statins</title>\r
<!--[if gte mso 9]><xml><o:DocumentProperties><o:Author>statins</o:Author></o:DocumentProperties>
</xml><![endif]-->\r
<style>
<!--
 /* Font Definitions */
 @font-face {font-family:"Cambria Math"; panose-1:2 4 5 3 5 4 6 3 2 4;}
 p.MsoNormal, li.MsoNormal {margin:0cm; font-size:12.0pt;}
-->
</style>\r
<!--[if gte mso 10]><style>table.MsoNormalTable {mso-style-name:statins}</style><![endif]-->\r
</head>\r
<body lang=EN-US style='tab-interval:36.0pt'>\r
<div class=WordSection1>\r
<p class=MsoNormal><b style='mso-bidi-font-weight:normal'><span lang=EN-US>Course<o:p></o:p>
</span></b></p>\r
<p class=MsoNormal><span lang=EN-US><![if !supportEmptyParas]>&nbsp;<![endif]><o:p></o:p></span>
</p>\r
<p class=MsoNormal><span lang=EN-US>She took <span style='mso-spacerun:yes'>  </span>statins for\r
years, and had a severe skin\r
rash<o:p></o:p></span></p>\r
<p class=MsoNormal><span lang=EN-US>No statins since\x96<span class=SpellE>fibrates</span>.\r
<o:p></o:p></span></p>\r
</div>\r
</body>\r
</html>\r
"""
_RECORD = """<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "xhtml1.dtd">
<html><head><title>Encounter 7: statins</title>
<style type="text/css">.hdr { color: #036 } .statins { font-weight: bold }</style>
<script type="text/javascript">if (1 < 2) { document.write("<p>statins</p>"); }</script>
</head>
<body onload="x()"><div class="hdr">WARD 3 &#150; MEDICATION</div>
<div style="display:none">statins (hidden)</div>
<table width="100%" cellpadding="0"><tr><th>Drug<th>Note
<tr><td class="statins">statins 20&nbsp;mg<td>stopped for <span>my<wbr>algia</span>
<tr><td>fibrates<td>instead of statins</table>
<script>track('statins')</script>
<p>Printed by &lt;ward&gt;</p>
</body></html>"""

PAGES: dict[str, Case] = {
    "word": Case(shown=_WORD, drawn="statins", nth=1, predicted="fibrates"),
    "word, over lines": Case(shown=_WORD, drawn="severe skin\nrash", predicted="statins"),
    "record": Case(shown=_RECORD, drawn="statins", nth=1, predicted="myalgia"),
    "record, double click": Case(
        shown=_RECORD, drawn="fibrates", predicted="statins 20", how="double"
    ),
    "table": Case(
        shown="<table><tbody><tr><td>pain</td><td>none</td></tr>"
        "<tr><td>rash</td><td>severe rash</td></tr></tbody></table>",
        drawn="rash",
        nth=1,
        predicted="pain",
    ),
    "table without ends": Case(
        shown="<table>pain first<tr><td>pain<td>none<tr><td>rash"
        "<table><tr><td>severe pain</table>and pain</table>after",
        drawn="pain",
        nth=2,
        predicted="rash",
    ),
    "entities": Case(
        shown="<p>Na &lt; 130 &amp; fi&egrave;vre&nbsp;&nbsp;38&deg; &#8212; &notit; rash "
        "&copy &lt5</p>",
        drawn="fièvre\xa0\xa038°",
        predicted="rash",
    ),
    "pre": Case(
        shown="<pre>\n  Drugs:\n\tstatins   20 mg\n\tfibrates  1 x\n</pre><p>no statins</p>",
        drawn="statins   20 mg",
        predicted="fibrates",
    ),
    "tags in words": Case(
        shown="<p>A se<b>ve</b>re <i>skin <u>rash</u></i>, no <b>severe</b> pain</p>",
        drawn="severe skin rash",
        predicted="pain",
    ),
    "line breaks": Case(
        shown="<p>On Monday<br>statins at 9<br/>fibrates at 10<BR>statins again</p>",
        drawn="statins",
        nth=1,
        predicted="fibrates",
    ),
    "whole document": Case(
        shown="<!DOCTYPE html>\n<html>\n<head>\n<title>statins</title>\n</head>\n<body>\n"
        "<p>Took statins at 8.</p>\n<p>Took fibrates and statins.</p>\n</body>\n</html>\n",
        drawn="statins",
        nth=1,
        predicted="fibrates",
    ),
    "leading blanks": Case(
        shown="\n\n   <p>Took statins.</p>\n  <p>No statins now, rash</p>",
        drawn="statins",
        nth=1,
        predicted="rash",
    ),
    "lists": Case(
        shown="<ul><li>rash<li>pain<ol><li>mild pain<li>fever</ol><li>pain</ul>"
        "<dl><dt>x<dd>pain</dl>",
        drawn="pain",
        nth=2,
        predicted="fever",
    ),
    "paragraphs without ends": Case(
        shown="<h2>Course<p>one rash<p>two<div>three rash<p>rash</div>rash</p>five",
        drawn="rash",
        nth=2,
        predicted="five",
    ),
    "emoji": Case(
        shown="<p>😀 pain 👩‍⚕️ <b>and 😀 pain</b> after 🩺 statins</p><p>🙂</p>",
        drawn="pain",
        nth=1,
        predicted="statins",
    ),
    "combining marks": Case(
        shown="<p>fie\u0300vre, puis fie\u0300vre et toux; fièvre</p>",
        drawn="fie\u0300vre",
        nth=1,
        predicted="toux",
    ),
    "carriage returns": Case(
        shown="<p>pain,\r\nno rash,\r\n<b>severe\r\nrash</b> &#13;&#10; and pain</p>",
        drawn="severe\nrash",
        predicted="and pain",
    ),
    "empty paragraphs": Case(
        shown="<p></p><p> </p>\n<div></div><p>pain</p><p>&nbsp;</p><p></p><p>pain, rash</p>",
        drawn="pain",
        nth=1,
        predicted="rash",
    ),
    "comments": Case(
        shown="<p>no pa<!-- statins -->in, <!--[if !mso]><!-->mild<!--<![endif]--> pain<!--x--> "
        "or rash</p>",
        drawn="mild pain",
        predicted="rash",
    ),
    "drawings and what is hidden": Case(
        shown='<p>pain <b hidden>pain</b><b hidden="hidden">pain</b><svg width="60">'
        '<title>pain</title><text y="15">mild</text></svg> pain'
        "<template>pain</template> and rash</p>",
        drawn="pain",
        nth=2,
        predicted="rash",
    ),
    "crossed tags": Case(
        shown="<p><b>no <i>pain</b> here</i> but pain</p></b><p><b>rash<p>pain</b> again",
        drawn="pain",
        nth=2,
        predicted="but",
    ),
    "form": Case(
        shown="<form><textarea>pain</textarea><select><option>pain<option>rash</select>"
        "<noscript>pain</noscript><label>Now: <input value=pain> pain</label> no rash</form>",
        drawn="pain",
        predicted="rash",
    ),
    "no markup": Case(
        shown="Na < 130 & pain; no > pain here & rash", drawn="pain", nth=1, predicted="rash"
    ),
    "capitals": Case(
        shown='<p style="text-transform: uppercase">no pain, mild pain</p><p>rash</p>',
        drawn="pain",
        nth=1,
        predicted="rash",
    ),
}

TEXTS: dict[str, Case] = {
    "plain": Case(shown="No pain, then pain and rash.", drawn="pain", nth=1, predicted="rash"),
    "double click": Case(
        shown="No pain, then pain and rash.", drawn="pain", nth=1, predicted="rash", how="double"
    ),
    "carriage returns": Case(
        shown="No pain\r\nthen pain\r\n\r\nand rash", drawn="pain", nth=1, predicted="rash"
    ),
    "over lines": Case(
        shown="A severe\r\nskin rash\nno pain", drawn="severe\r\nskin rash", predicted="pain"
    ),
    "lone carriage returns": Case(
        shown="No pain\rthen pain\rand rash", drawn="pain", nth=1, predicted="rash"
    ),
    "tabs": Case(shown="Na\t130\tpain\n\tK\t4\tpain", drawn="pain", nth=1, predicted="130"),
    "emoji": Case(shown="😀 pain 👩‍⚕️ and 🩺 pain 🙂 rash", drawn="pain", nth=1, predicted="rash"),
    "an emoji itself": Case(shown="pain 😀 or 🩺 then rash", drawn="🩺", predicted="rash"),
    "letters beyond": Case(
        shown="IFN-\U0001d6fd pain, \U0001d6fd2 pain",
        drawn="pain",
        nth=1,
        predicted="IFN-\U0001d6fd",
    ),
    "combining marks": Case(
        shown="fie\u0300vre, puis fie\u0300vre et toux",
        drawn="fie\u0300vre",
        nth=1,
        predicted="toux",
    ),
    "byte order mark": Case(
        shown="\ufeffNo pain, mild pain, rash", drawn="pain", nth=1, predicted="rash"
    ),
    "leading blanks": Case(
        shown="   \n  no pain, mild pain, rash", drawn="pain", nth=1, predicted="rash"
    ),
    "trailing blank": Case(shown="no ache, mild pain and rash   ", drawn="pain ", predicted="rash"),
    "double blanks": Case(
        shown="no  pain,  severe  skin  rash", drawn="severe  skin  rash", predicted="pain"
    ),
    "arabic": Case(
        shown="\u0644\u0627 \u0623\u0644\u0645 \u062b\u0645 \u062d\u0645\u0649",
        drawn="\u062d\u0645\u0649",
        predicted="\u0623\u0644\u0645",
        how="right to left",
    ),
    "hebrew beside latin": Case(
        shown="\u05db\u05d0\u05d1 then pain, pain", drawn="pain", nth=1, predicted="then"
    ),
    "zero width": Case(
        shown="no\u200b pa\u200bin, mild pa\u200bin, rash",
        drawn="pa\u200bin",
        nth=1,
        predicted="rash",
    ),
    "blanks that do not break": Case(
        shown="20\xa0mg, pain\u202f30\u2009mg rash", drawn="30\u2009mg", predicted="rash"
    ),
    "markup as text": Case(
        shown='<b>pain</b> &amp; <script>pain</script> &lt; pain "rash" \'',
        drawn="pain",
        nth=2,
        predicted="rash",
    ),
    "separators": Case(
        shown="no pain\u2028mild pain\u0085and\x0cpain rash", drawn="pain", nth=2, predicted="rash"
    ),
    "soft hyphen": Case(
        shown="no pain, head\u00adache, pain, rash", drawn="head\u00adache", predicted="rash"
    ),
    "chinese": Case(shown="无疼痛。后有疼痛和皮疹。", drawn="疼痛", nth=1, predicted="皮疹"),
    "long": Case(
        shown="Nothing was found.\n" * 200 + "No pain, but pain and rash.",
        drawn="pain",
        nth=1,
        predicted="rash",
    ),
}
