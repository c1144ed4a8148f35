"""Flag commands, good and bad, for the linter and for CASA itself.

They are written for the observation that ``OBSERVED`` describes: ``demo/3C273XC1.fits`` of the casadata package (the
VLA on 27 June 1989), with its antennas called ea01 to ea28.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from srdp.domain.selections import Observed

OBSERVED = Observed(
    start=datetime(1989, 6, 27, 1, 3, 20, tzinfo=UTC),
    end=datetime(1989, 6, 27, 4, 44, 30, tzinfo=UTC),
    antennas=tuple(f"ea{number:02d}" for number in range(1, 29)),
)


@dataclass(frozen=True)
class Bad:
    """A command that is refused.

    Attributes:
        text: the line.
        column: where the finding must point.
        value: what it must quote.
        sentence: a part of its sentence: the problem or the fix.
        casa: whether CASA does not carry out the command either. Where it does, or crashes, the finding is about
            what the line says and CASA does not do.
    """

    text: str
    column: int
    value: str
    sentence: str
    casa: bool = True


#: What the linter lets pass, and CASA carries out.
GOOD = (
    "mode='manual' antenna='ea18' spw='0' reason='DTS'",
    "mode='quack' quackinterval=10.0 quackmode='beg' reason='quack'",
    "antenna='ea01'",
    'mode="manual" antenna="ea01"',
    "antenna='ea01,ea02;ea03&ea04;!ea05'",
    "antenna='ea01&ea02'",
    "antenna='ea01&&ea02'",
    "antenna='ea01,ea02&'",
    "antenna='ea01&*'",
    "antenna='ea01 & ea02, ea03'",
    "antenna='ea0*'",
    "antenna='/ea0[1,2]/'",
    "antenna='0~3,7'",
    "antenna='<500'",
    "antenna='<500m'",
    "antenna='ea01@VLA:W12'",
    "antenna='@VLA:W12'",
    "antenna='VLA:W12'",
    "spw='*'",
    "spw='<1'",
    "spw='0:0~20;30,0'",
    "spw='0:0~20^2'",
    "spw='*:0'",
    "spw='none'",
    "spw='8~9GHz'",
    "scan='1,2~3'",
    "scan='>=2'",
    "field='3C273'",
    "field='3C*,0'",
    "array='0' observation='0' feed='0'",
    "correlation='RR,LL'",
    "mode='clip' correlation='ABS_ALL' clipminmax=[0.0,5.0]",
    "mode='clip' correlation='REAL_RR' clipminmax=[0, 5] clipoutside=False datacolumn='data'",
    "mode='clip' clipzeros=true",
    "mode='clip' channelavg=True chanbin=1 timeavg=True timebin='20s'",
    "uvrange='<5klambda'",
    "uvrange='100~500m,>1km'",
    "timerange='1989/06/27/01:03:30~1989/06/27/01:04:00.5'",
    "timerange='1989/06/27/01:03:30~01:04:00'",
    "timerange='1:3:30~1:4:0,>04:00:00'",
    "timerange='<1989/6/27/2:00:00'",
    "timerange='01:03:30+00:01:00'",
    "timerange='*/*/*/01:03:30~*/*/*/01:04:00'",
    "timerange='1989/06/27'",
    "mode='quack' quackinterval=10 quackincrement=True",
    "mode='shadow' tolerance=1.0",
    "mode='shadow' addantenna={'0':{'name':'VLA99','diameter':25.0,'position':[-1601144.9,-5041998.0,3554864.7]}}",
    "mode='elevation' lowerlimit=10.0 upperlimit=80.0",
    "mode='tfcrop' ntime='1.5min' combinescans=True timecutoff=4.0 freqcutoff=3.0 timefit='poly' maxnpieces=5",
    "mode='tfcrop' ntime=30.0 flagdimension='time' usewindowstats='sum' halfwin=2 extendflags=False",
    "mode='rflag' ntime='scan' winsize=5 timedev=[[0,0,0.2]] freqdev=[] timedevscale=4.0 spectralmax=1e6",
    "mode='extend' growtime=80.0 growfreq=80.0 extendpols=False growaround=True flagneartime=True",
    "mode='antint' antint_ref_antenna='ea01' minchanfrac=0.3 verbose=True",
    "mode='unflag' antenna='ea01'",
    "mode='summary' name='before' spwchan=True minrel=0.1",
    "mode='manual' autocorr=True",
    "antenna='ea02' autocorr=False reason='QA2:stage8_2'",
)

#: What the linter refuses.
BAD = (
    # grammar
    Bad("mode='manual'  antenna='ea01'", 15, " ", "exactly one", casa=False),
    Bad(" mode='manual'", 1, " ", "begin the line with a key", casa=False),
    Bad("mode='manual' antenna = 'ea01'", 22, " = ", "write antenna='ea01'"),
    Bad("mode='manual' antenna= 'ea01'", 22, "= ", "around the equals sign", casa=False),
    Bad("mode='manual',antenna='ea01'", 14, ",antenna='ea01'", "one blank between pairs"),
    Bad("mode='manual' antenna='ea01' # bad disk", 30, "# bad disk", "a line of its own"),
    Bad("mode='manual' antenna='ea01' antenna='ea02'", 30, "antenna", "is there twice", casa=False),
    Bad("flag antenna='ea01'", 1, "flag", "is not KEY=VALUE"),
    Bad("ea01", 1, "ea01", "is not KEY=VALUE"),
    Bad("mode='manual' antenna=ea01", 23, "ea01", "write antenna='ea01'", casa=False),
    Bad("mode='manual' antenna='ea01", 23, "'ea01", "a quote too few", casa=False),
    Bad("mode='manual' antenna=", 23, "antenna", "has no value", casa=False),
    Bad("mode='manual' antenna='ea\"01'", 23, "'ea\"01'", "no quote inside", casa=False),
    Bad("mode='manual'\tantenna='ea01'", 14, "\t", "type it anew"),
    Bad("mode=\u2018manual\u2019", 6, "\u2018", "type it anew"),
    Bad("mode='manual' reason='bad disk'", 26, "bad disk", "write 'bad_disk'", casa=False),
    Bad("mode='manual' field='3C273 x=1'", 27, "3C273 x=1", "CASA parts the line"),
    Bad("field='true north'", 8, "true north", "by its number"),
    Bad("# why\rmode='manual' antenna='ea01'", 6, "\r", "type it anew", casa=False),
    # keys and modes
    Bad("mode='flag'", 6, "flag", "is no mode of flagdata"),
    Bad("mode='Manual'", 6, "Manual", "choose from manual, clip"),
    Bad("mode='list'", 6, "list", "the mode of the list itself"),
    Bad("mode='manualflag'", 6, "manualflag", "is no mode", casa=False),
    Bad("mode='manual' antena='ea01'", 15, "antena", "is no parameter of a flag command"),
    Bad("mode='manual' Antenna='ea01'", 15, "Antenna", "write antenna"),
    Bad("mode='manual' vis='other.ms'", 15, "vis", "is no parameter"),
    Bad("mode='manual' inpfile='x'", 15, "inpfile", "is no parameter"),
    Bad("mode='manual' clipzeros=True", 15, "clipzeros", "choose the mode: clip", casa=False),
    Bad("mode='antint'", 1, "mode='antint'", "add antint_ref_antenna"),
    Bad("mode='manual'", 1, "mode='manual'", "all data would be flagged", casa=False),
    Bad("reason='bad'", 1, "reason='bad'", "selects nothing", casa=False),
    Bad("antenna='' spw=''", 1, "antenna='' spw=''", "selects nothing", casa=False),
    Bad("autocorr=False", 1, "autocorr=False", "selects nothing", casa=False),
    # types
    Bad("mode='extend' growtime=50", 24, "50", "write growtime=50.0"),
    Bad("mode='shadow' tolerance=1", 25, "1", "write tolerance=1.0"),
    Bad("mode='quack' quackinterval='10'", 28, "'10'", "write quackinterval=10 without quotes"),
    Bad("mode='quack' quackinterval=1_0", 28, "1_0", "is not a number with a decimal point", casa=False),
    Bad("mode='manual' autocorr=1", 24, "1", "True or False"),
    Bad("mode='manual' autocorr='True'", 24, "'True'", "write autocorr=True without quotes"),
    Bad("mode='manual' antenna=3", 23, "3", "write antenna='3'"),
    Bad("observation=0", 13, "0", "write observation='0'"),
    Bad("mode='tfcrop' ntime=10", 21, "10", "write ntime='10'"),
    Bad("mode='tfcrop' maxnpieces=5.0", 26, "5.0", "is not a whole number"),
    Bad("mode='clip' clipminmax='0,1'", 24, "'0,1'", "is not a list in brackets"),
    Bad("mode='clip' clipminmax=[0,1", 24, "[0,1", "is not a list in brackets"),
    Bad("mode='clip' channelavg=True chanbin=[2]", 37, "[2]", "is not a whole number"),
    Bad("mode='rflag' timedev=0.5", 22, "0.5", "is not a list in brackets"),
    Bad("mode='rflag' timedev='0.5'", 22, "'0.5'", "is not a list in brackets", casa=False),
    Bad("mode='shadow' addantenna='antennas.txt'", 26, "'antennas.txt'", "a dictionary in braces"),
    Bad("field={print('run')}", 7, "{print('run')}", "write text in quotes"),
    # values
    Bad("mode='quack' quackmode='start'", 25, "start", "choose from beg, endb, end, tail"),
    Bad("mode='quack' quackinterval=-1.0", 28, "-1.0", "not more than 0 seconds"),
    Bad("mode='clip' clipminmax=[1.5]", 24, "[1.5]", "write two numbers"),
    Bad("mode='clip' clipminmax=[]", 24, "[]", "write two numbers"),
    Bad("mode='clip' clipminmax=[5,0]", 24, "[5, 0]", "lower limit first", casa=False),
    Bad("mode='clip' datacolumn='raw'", 25, "raw", "choose from DATA"),
    Bad("mode='clip' timeavg=True timebin='long'", 35, "long", "for example 10s"),
    Bad("mode='tfcrop' ntime='long'", 22, "long", "for example 10s"),
    Bad("mode='tfcrop' timefit='cubic'", 24, "cubic", "choose from line, poly"),
    Bad("mode='tfcrop' maxnpieces=20", 26, "20", "from 1 to 9"),
    Bad("mode='extend' growtime=180.0", 24, "180.0", "from 0 to 100"),
    Bad("mode='elevation' lowerlimit=95.0", 29, "95.0", "from 0 to 90", casa=False),
    Bad("mode='antint' antint_ref_antenna='ea99'", 35, "ea99", "is no antenna of this observation"),
    Bad("mode='rflag' timedev=[[0,1]]", 22, "[0, 1]", "[field,spw,threshold]"),
    Bad("mode='shadow' addantenna={'x':1}", 26, "x", "the description of an antenna"),
    # antennas
    Bad("antenna='ea99'", 10, "ea99", "choose from ea01, ea02"),
    Bad("antenna='EA01'", 10, "EA01", "choose from ea01, ea02"),
    Bad("antenna='ea01,ea1'", 15, "ea1", "is no antenna of this observation"),
    Bad("antenna='eb*'", 10, "eb*", "is no antenna of this observation"),
    Bad("antenna='30'", 10, "30", "count from 0 to 27"),
    Bad("antenna='3~1'", 10, "3~1", "write 1~3", casa=False),  # CASA's process ends
    Bad("antenna='ea01~ea05'", 10, "ea01~ea05", "is not how CASA names antennas"),
    Bad("antenna='ea01 ea02'", 10, "ea01 ea02", "is not how CASA names antennas"),
    Bad("antenna='ea01,!ea02'", 15, "!ea02", "is not how CASA names antennas"),
    Bad("antenna='ea01,'", 15, "ea01,", "remove the separator"),
    Bad("antenna=';ea01'", 10, ";ea01", "remove the separator"),
    Bad("antenna='ea01&ea02&ea03'", 10, "ea01&ea02&ea03", "too many & signs"),
    Bad("antenna='ea01&'", 10, "ea01&", "write ea01&*"),
    # spectral windows and channels
    Bad("spw='0:'", 8, "0:", "remove the separator"),
    Bad("spw=':5'", 6, ":5", "remove the separator"),
    Bad("spw='0:20~5'", 8, "20~5", "write 5~20"),
    Bad("spw='0:5~'", 8, "5~", "is no channel"),
    Bad("spw='0:5;;6'", 10, "0:5;;6", "remove the separator"),
    Bad("spw='0:<5'", 8, "<5", "is no channel"),
    Bad("spw='0,'", 8, "0,", "remove the separator"),
    Bad("spw='!0'", 6, "!0", "is no spectral window"),
    Bad("spw='>=0'", 6, ">=0", "is no spectral window"),
    Bad("spw='0,5~3'", 8, "5~3", "write 3~5"),
    # numbers, fields, lengths, correlations
    Bad("scan='a'", 7, "a", "is no number"),
    Bad("scan='1~'", 7, "1~", "is no number"),
    Bad("scan='1,3~2'", 9, "3~2", "write 2~3"),
    Bad("scan='1;2'", 7, "1;2", "is no number"),
    Bad("scan='1,'", 9, "1,", "remove the separator"),
    Bad("scan='*'", 7, "*", "is no number"),
    Bad("array='a'", 8, "a", "is no number"),
    Bad("field='3C273,'", 14, "3C273,", "remove the separator"),
    Bad("uvrange='100~500foo'", 10, "100~500foo", "is no length"),
    Bad("uvrange='100m~500m'", 10, "100m~500m", "is no length"),
    Bad("uvrange='500~100m'", 10, "500~100m", "the shorter length first"),
    Bad("correlation='RR,Q'", 17, "Q", "is no correlation", casa=False),
    Bad("correlation='RR LL'", 14, "RR LL", "is no correlation", casa=False),
    Bad("mode='clip' correlation='FOO_RR'", 26, "FOO_RR", "is no correlation", casa=False),
    # times
    Bad("timerange='abc'", 12, "abc", "is no time"),
    Bad("timerange='01:20~01:40'", 12, "01:20~01:40", "YYYY/MM/DD/hh:mm:ss"),
    Bad("timerange='01:20:00~'", 12, "01:20:00~", "is no time"),
    Bad("timerange='1989-06-27T01:20:00'", 12, "1989-06-27T01:20:00", "is no time"),
    Bad("timerange='1989/13/27/01:20:00'", 12, "1989/13/27/01:20:00", "is no time"),
    Bad("timerange='1989/06/31/01:20:00'", 12, "1989/06/31/01:20:00", "is no time"),
    Bad("timerange='01:61:00~01:62:00'", 12, "01:61:00~01:62:00", "is no time"),
    Bad("timerange='25:10:00~25:20:00'", 12, "25:10:00~25:20:00", "is no time"),
    Bad("timerange='>=01:20:00'", 12, ">=01:20:00", "is no time"),
    Bad("timerange='01:20:00;01:40:00'", 12, "01:20:00;01:40:00", "is no time"),
    Bad("timerange='01:40:00~01:20:00'", 12, "01:40:00~01:20:00", "the earlier time first"),
    Bad("timerange='01:40:00~01:40:00'", 12, "01:40:00~01:40:00", "the earlier time first"),
    Bad("timerange='01:20:00~01:40:00,'", 30, "01:20:00~01:40:00,", "remove the separator"),
    Bad("timerange='05:00:00~05:10:00'", 12, "05:00:00~05:10:00", "from 1989/06/27/01:03:20 to 1989/06/27/04:44:30"),
    Bad("timerange='<01:00:00'", 12, "<01:00:00", "lies not inside the observation"),
    Bad("timerange='1990/06/27/02:00:00'", 12, "1990/06/27/02:00:00", "lies not inside the observation"),
    Bad("timerange='1989/06/28'", 12, "1989/06/28", "lies not inside the observation"),
    Bad("timerange='02:00:00~03:00:00,04:00:00~05:00:00'", 30, "04:00:00~05:00:00", "lies not inside", casa=False),
)
