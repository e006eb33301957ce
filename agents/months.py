"""Names of the months in forty languages, with their inflected and short forms: facts to recognise dates by."""

from __future__ import annotations

# Names that mean two months in two languages (Croatian and Czech "listopad") stand in both lines.
_NAMES: dict[int, str] = {
    1: (
        "ene enero gen gener gennaio ian ianuarie jaan jaanuar jan janeiro januar januari january január "
        "januára janv janvier janvāris led leden ledna oca ocak saus sausio sausis sij siječanj siječnja sty "
        "styczeń stycznia tammi tammikuu tammikuuta ιαν ιανουάριοσ ιανουαρίου січ січень січня янв январь "
        "января яну януари јан јануар ינואר ינו׳ جنوری يناير ژانویه ژانویهٔ जनवरी जन॰ জানু জানুয়ারী ม.ค "
        "มกราคม 一月 "
    ),
    2: (
        "feb febbraio febr febrer febrero februar februari februarie february február februára februāris fev "
        "fevereiro févr février helmi helmikuu helmikuuta lut lutego luty vas vasario vasaris veebr veebruar "
        "velj veljača veljače úno únor února şub şubat φεβ φεβρουάριοσ φεβρουαρίου лют лютий лютого феб "
        "фебруар фев февр февраль февраля февруари פברואר פבר׳ فبراير فروری فوریه فوریهٔ फ़रवरी फ़र॰ ফেব "
        "ফেব্রুয়ারী ก.พ กุมภาพันธ์ 二月 "
    ),
    3: (
        "bře březen března kov kovas kovo maalis maaliskuu maaliskuuta maart mac mar marca march marec maret "
        "mars mart martie marts marzec marzo març março mrt márc március mär märts märz ožu ožujak ožujka μάρ "
        "μάρτιοσ μαρ μαρτίου бер березень березня мар март марта מרץ مارس مارچ मार्च মার্চ มี.ค มีนาคม 三月 "
    ),
    4: (
        "abr abril apr april aprile aprilie aprill apríl apríla aprīlis avr avril bal balandis balandžio dub "
        "duben dubna d’abr d’abril huhti huhtikuu huhtikuuta kwi kwiecień kwietnia nis nisan tra travanj "
        "travnja ápr április απρ απρίλιοσ απριλίου апр апрель апреля април квіт квітень квітня אפריל אפר׳ "
        "آوریل أبريل اپریل अप्रैल এপ্রি এপ্রিল เม.ย เมษายน 四月 "
    ),
    5: (
        "geg gegužė gegužės kvě květen května mag maggio mai maig maijs maio maj maja may mayo mayıs mei máj "
        "mája május svi svibanj svibnja touko toukokuu toukokuuta μάι μάιοσ μαΐ μαΐου май мая мај трав "
        "травень травня מאי مئی مايو مه مهٔ मई মে พ.ค พฤษภาคม 五月 "
    ),
    6: (
        "birž birželio birželis cze czerwca czerwiec giu giugno haz haziran iun iunie juin jun june junho "
        "juni junij junio juny juuni jún júna június jūn jūnijs kesä kesäkuu kesäkuuta lip lipanj lipnja "
        "červen června čvn ιουν ιουνίου ιούν ιούνιοσ июн июнь июня черв червень червня юни јун יוני جون يونيو "
        "ژوئن जून জুন มิ.ย มิถุนายน 六月 "
    ),
    7: (
        "heinä heinäkuu heinäkuuta iul iulie juil juillet jul julai julho juli julij julio juliol july juuli "
        "júl júla július jūl jūlijs liep liepa liepos lip lipca lipiec lug luglio srp srpanj srpnja tem "
        "temmuz července červenec čvc ιουλ ιουλίου ιούλ ιούλιοσ июл июль июля лип липень липня юли јул יולי "
        "جولائی يوليو ژوئیه ژوئیهٔ जुलाई जुल॰ জুল জুলাই ก.ค กรกฎาคม 七月 "
    ),
    8: (
        "ago agost agosto agu agustus août aug august augusta augusti augusts augustus augusztus avg avgust "
        "ağu ağustos d’ag d’agost elo elokuu elokuuta kol kolovoz kolovoza ogo ogos rugp rugpjūtis rugpjūčio "
        "sie sierpień sierpnia srp srpen srpna αυγ αυγούστου αύγ αύγουστοσ авг август августа серп серпень "
        "серпня אוגוסט אוג׳ أغسطس اوت اگست अगस्त अग॰ আগ আগস্ট ส.ค สิงหาคม 八月 "
    ),
    9: (
        "eyl eylül rugs rugsėjis rugsėjo ruj rujan rujna sep sept september septembra septembre septembrie "
        "septembris septiembre set setembre setembro settembre syys syyskuu syyskuuta szept szeptember wrz "
        "wrzesień września zář září σεπ σεπτέμβριοσ σεπτεμβρίου вер вересень вересня сент сентябрь сентября "
        "сеп септембар септември ספטמבר ספט׳ سبتمبر ستمبر سپتامبر सितंबर सित॰ সেপ সেপ্টেম্বর ก.ย กันยายน 九月 "
    ),
    10: (
        "d’oct d’octubre eki ekim lis listopad listopada loka lokakuu lokakuuta oct october octobre octombrie "
        "octubre okt oktober oktobris oktoober október októbra ott ottobre out outubro paź październik "
        "października spal spalio spalis říj říjen října οκτ οκτωβρίου οκτώβριοσ жовт жовтень жовтня окт "
        "октобар октомври октябрь октября אוקטובר אוק׳ أكتوبر اکتبر اکتوبر अक्टूबर अक्टू॰ অক্টো অক্টোবর ต.ค "
        "ตุลาคม 十月 "
    ),
    11: (
        "kas kasım lapkr lapkritis lapkričio lis listopad listopada listopadu marras marraskuu marraskuuta "
        "noiembrie nov november novembra novembre novembris novembro noviembre stu studeni studenoga νοέ "
        "νοέμβριοσ νοε νοεμβρίου лист листопад листопада нов новембар ное ноември нояб ноябрь ноября נובמבר "
        "נוב׳ نوامبر نوفمبر نومبر नवंबर नव॰ নভে নভেম্বর พ.ย พฤศจิกายน 十一月 "
    ),
    12: (
        "ara aralık dec december decembra decembrie decembris des desember desembre dets detsember dez "
        "dezember dezembro dic dicembre diciembre dis disember déc décembre gru grudnia grudzień gruod "
        "gruodis gruodžio joulu joulukuu joulukuuta pro prosinac prosinca prosince prosinec δεκ δεκέμβριοσ "
        "δεκεμβρίου груд грудень грудня дек декабрь декабря декември дец децембар דצמבר דצמ׳ دسامبر دسمبر "
        "ديسمبر दिसंबर दिस॰ ডিসে ডিসেম্বর ธ.ค ธันวาคม 十二月 "
    ),
}

MONTHS: dict[str, frozenset[int]] = {
    name: frozenset(month for month, names in _NAMES.items() if name in names.split())
    for line in _NAMES.values()
    for name in line.split()
}
